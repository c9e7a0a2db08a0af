"""The numbers of a VAE: the ELBO, the log-likelihood, and the active latent units."""

import math

import torch
from torch import Tensor

from triptych.evaluation.context import Evaluation
from triptych.evaluation.vae.importance import importance_sampling
from triptych.models.vae.family import VaeFamily
from triptych.objectives.likelihoods import standard_error

SAMPLES_ARE = "means of the Bernoulli pixels"
NOT_DEFINED = {"bits_per_dimension": "the pixels are binary"}

ACTIVE = 0.01  # smallest variance of the posterior mean of an active unit; the prior's is 1 (Burda et al. 2016)
DRAWS = 64  # of z per image, for that variance
ENCODED_AT_ONCE = 500  # images


def measure(evaluation: Evaluation) -> dict[str, object]:
    """Return ELBO, reconstruction and KL in nats per image on each split, with one draw of z per image.

    The test split also has the importance-sampled log-likelihood and its gap to the ELBO, in nats per image, each with
    its standard error over the images. The number of active latent units is included.
    """
    family = evaluation.family
    splits = {"train": evaluation.training, **evaluation.splits}
    numbers, elbos = {}, {}
    for split, images in splits.items():
        reconstruction, kl = family.bound_parts(images.pixels)
        elbos[split] = -reconstruction - kl
        numbers[split] = _bound(reconstruction, kl, images.pixels[0].numel())
        if family.importance_samples > 1:
            numbers[split]["importance_weighted_bound"] = float(family.iw_bound(images.pixels).mean())
    test = evaluation.splits["test"].pixels
    samples = evaluation.likelihood.importance_samples
    estimate = importance_sampling(
        family, test, samples=samples, seed=evaluation.seed, pieces=evaluation.partial_results, name=evaluation.name
    )
    gap = estimate.log_likelihood - elbos["test"]
    numbers["test"] |= {
        "log_likelihood": float(estimate.log_likelihood.mean()),
        "log_likelihood_standard_error": standard_error(estimate.log_likelihood),
        "gap": float(gap.mean()),
        "gap_standard_error": standard_error(gap),
    }
    return {
        **numbers,
        "importance_sampling": {
            "samples": samples,
            "images": len(test),
            "effective_sample_size": float(estimate.effective_samples.mean()),
            "smallest_effective_sample_size": float(estimate.effective_samples.min()),
        },
        "likelihood_is": f"a lower bound in expectation, by importance sampling with {samples:,} draws per image",
        "active_units": {
            "value": int((posterior_variance(family, test) > ACTIVE).sum()),
            "threshold": ACTIVE,
            "images": len(test),
            "samples": DRAWS,
        },
    }


def _bound(reconstruction: Tensor, kl: Tensor, pixels: int) -> dict[str, float | int]:
    total = reconstruction + kl
    return {
        "elbo": -float(total.mean()),
        "elbo_standard_error": standard_error(total),
        "negative_elbo": float(total.mean()),
        "reconstruction": float(reconstruction.mean()),
        "kl": float(kl.mean()),
        "bits_per_binary_pixel": float(total.mean()) / (pixels * math.log(2)),
        "images": len(total),
    }


def posterior_variance(family: VaeFamily, pixels: Tensor) -> Tensor:
    """Return the variance over the images of E[z|x], (d,), which is near 0 for an unused latent unit.

    With planar layers E[z|x] has no closed form, so it is estimated by means of draws. The covariance of two
    independent means is used, because their sampling noise does not enter it.
    """
    chunks = pixels.split(ENCODED_AT_ONCE)
    halves = [family.encode(chunk, DRAWS).unflatten(1, (2, -1)).mean(2).cpu().double() for chunk in chunks]
    means = torch.cat(halves)
    first, second = (means - means.mean(0)).unbind(1)
    return (first * second).mean(0)

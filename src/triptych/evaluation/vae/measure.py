"""The numbers of a VAE: the bound, the likelihood behind it, and what its latents hold."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.evaluation.vae.importance import importance_sampling

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation
    from triptych.models.vae.family import VaeFamily

SAMPLES_ARE = "means of the Bernoulli pixels"
NOT_DEFINED = {"bits_per_dimension": "the pixels are binary"}
CURVES = ("valid_negative_elbo", "train_negative_elbo")

ACTIVE = 0.01  # variance of a latent's posterior mean over images, in units of the prior's (Burda et al. 2016)
DRAWS = 64  # of z an image, for that variance
ENCODED_AT_ONCE = 500  # images, for these draws


def measure(evaluation: Evaluation) -> dict[str, object]:
    """ELBO, reconstruction and KL in nats per image on train, validation and test, one draw of z an image.

    On test also the importance-sampled log-likelihood, in nats per image, and the ELBO's distance from it; each mean
    with its standard error over the images. And the number of active latent units.
    """
    splits = {"train": evaluation.training, **evaluation.splits}
    numbers = {split: _bound(evaluation.family, images.pixels) for split, images in splits.items()}
    test = evaluation.splits["test"].pixels
    samples = evaluation.likelihood.importance_samples
    estimate = importance_sampling(
        evaluation.family,
        test,
        samples=samples,
        seed=evaluation.seed,
        pieces=evaluation.workplace,
        name=evaluation.name,
    )
    log_likelihood = float(estimate.log_likelihood.mean())
    numbers["test"] |= {
        "log_likelihood": log_likelihood,
        "log_likelihood_standard_error": float(estimate.log_likelihood.std() / len(test) ** 0.5),
        "gap": log_likelihood - numbers["test"]["elbo"],
    }
    return {
        **numbers,
        "importance_sampling": {
            "samples": samples,
            "images": len(test),
            "effective_sample_size": float(estimate.effective_samples.mean()),
            "smallest_effective_sample_size": float(estimate.effective_samples.min()),
        },
        "likelihood_is": f"a lower bound in expectation, by importance sampling with {samples:,} draws an image",
        "active_units": {
            "value": int((posterior_variance(evaluation.family, test) > ACTIVE).sum()),
            "threshold": ACTIVE,
            "images": len(test),
        },
    }


def _bound(family: VaeFamily, pixels: Tensor) -> dict[str, float | int]:
    bound = family.bound(pixels)
    return {
        "elbo": -bound["negative_elbo"],
        "elbo_standard_error": bound["negative_elbo_standard_error"],
        "negative_elbo": bound["negative_elbo"],
        "reconstruction": bound["reconstruction"],
        "kl": bound["kl"],
        "bits_per_binary_pixel": bound["negative_elbo"] / (pixels[0].numel() * math.log(2)),
        "images": len(pixels),
    }


def posterior_variance(family: VaeFamily, pixels: Tensor) -> Tensor:
    """Var over the images of E[z|x], (d,): near 0 for a latent that is left unused, near 1 for one in full use.

    The posterior's mean has no closed form behind a flow, so it is a mean of draws; the covariance of two independent
    such means is not inflated by their noise.
    """
    halves = [
        family.encode(chunk, DRAWS).unflatten(1, (2, -1)).mean(2).double() for chunk in pixels.split(ENCODED_AT_ONCE)
    ]
    means = torch.cat(halves)
    first, second = (means - means.mean(0)).unbind(1)
    return (first * second).mean(0)

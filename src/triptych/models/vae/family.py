"""The VAE as a trainable family: training step, validation and sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.models.vae.network import Vae
from triptych.models.vae.posterior import Posterior
from triptych.models.vae.settings import Model
from triptych.objectives.likelihoods import (
    log_likelihood_bernoulli_logits,
    log_likelihood_standard_normal,
    standard_error,
)
from triptych.objectives.vae import importance_weighted_bound, negative_elbo
from triptych.training.family import Family, Update
from triptych.training.images import HeldOutImages

DECODED_AT_ONCE = 2000  # latents


def build(model: Model, image_shape: tuple[int, ...]) -> VaeFamily:
    """Return a VAE with new networks."""
    return VaeFamily(model, image_shape)


class VaeFamily(Family):
    """Minimises the negative ELBO with one draw of z per image, or the importance-weighted bound with several draws."""

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.networks, self.latent = Vae(model, image_shape), model.latent
        self.kl_warmup, self.importance_samples = model.kl_warmup, model.importance_samples
        self.can_be_graphed = not model.kl_warmup

    def sampled_terms(self, images: Tensor, posterior: Posterior, samples: int) -> tuple[Tensor, Tensor]:
        """Return -log p(x|z) and log q(z|x) - log p(z) for draws z of q(z|x), each (n, samples) in nats.

        The negative sum of the two is the log importance weight of the draw.
        """
        latents, log_q = posterior.draw(samples)
        logits = self.networks.logits(latents.flatten(0, 1)).unflatten(0, log_q.shape)
        log_p_x = log_likelihood_bernoulli_logits(logits.float(), images.unsqueeze(1), leading=2)
        return -log_p_x, log_q - log_likelihood_standard_normal(latents, leading=2)

    def bound_terms(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction and the KL of the negative ELBO, each (n,) in nats, from one draw of z per image.

        The KL of the Gaussian is in closed form. Planar layers add log p(z_0) - log p(z) - log det, estimated from the
        draw (Rezende and Mohamed 2015, equation 15, with the known expectations inserted).
        """
        posterior = self.networks.encode(images)
        start, _ = posterior.draw_gaussian(1)
        latents, log_det = posterior.transform(start)
        logits = self.networks.logits(latents.squeeze(1))
        reconstruction, kl = negative_elbo(images, logits, posterior.mean, posterior.log_variance)
        if posterior.layers is not None:
            added = log_likelihood_standard_normal(start) - log_likelihood_standard_normal(latents)
            kl = kl + added - log_det.squeeze(1)
        return reconstruction, kl

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        images = pixels.float()
        if self.importance_samples > 1:
            return self._importance_weighted_step(images, update)
        reconstruction, kl = (part.mean() for part in self.bound_terms(images))
        weight = min(1.0, self.epoch / self.kl_warmup) if self.kl_warmup else 1.0
        loss = reconstruction + weight * kl
        update("model", loss)
        quantities = {"negative_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
        quantities |= {"loss": loss} if self.kl_warmup else {}
        return {name: value.detach() for name, value in quantities.items()}

    def _importance_weighted_step(self, images: Tensor, update: Update) -> dict[str, Tensor]:
        reconstruction, kl = self.sampled_terms(images, self.networks.encode(images), self.importance_samples)
        loss = -importance_weighted_bound(-reconstruction - kl).mean()
        update("model", loss)
        reconstruction, kl = reconstruction.detach().mean(), kl.detach().mean()
        return {
            "negative_iw_bound": loss.detach(),
            "negative_elbo": reconstruction + kl,
            "reconstruction": reconstruction,
            "kl": kl,
        }

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        return self.bound(images.pixels)

    @torch.no_grad()
    def bound_parts(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return the reconstruction and the KL of images (n, h, w), each (n,) in nats, float64 on the CPU.

        Raises TriptychError unless all pixels are 0 or 1.
        """
        _require_binary(pixels)
        parts = [self.bound_terms(chunk.float()) for chunk in pixels.split(DECODED_AT_ONCE)]
        reconstruction, kl = (torch.cat(part).cpu().double() for part in zip(*parts, strict=True))
        return reconstruction, kl

    def bound(self, pixels: Tensor) -> dict[str, float]:
        """Return the means over the images of the negative ELBO and its two parts, in nats per image.

        The negative ELBO comes with its standard error. With several importance samples, the importance-weighted bound
        is included. Raises TriptychError unless all pixels are 0 or 1.
        """
        reconstruction, kl = self.bound_parts(pixels)
        total = reconstruction + kl
        numbers = {
            "negative_elbo": float(total.mean()),
            "reconstruction": float(reconstruction.mean()),
            "kl": float(kl.mean()),
            "negative_elbo_standard_error": standard_error(total),
        }
        if self.importance_samples > 1:
            numbers["negative_iw_bound"] = -float(self.iw_bound(pixels).mean())
        return numbers

    @torch.no_grad()
    def iw_bound(self, pixels: Tensor) -> Tensor:
        """Return the importance-weighted bound of images (n, h, w), (n,) in nats, with the draws of training."""
        size, bounds = max(1, DECODED_AT_ONCE // self.importance_samples), []
        for chunk in pixels.split(size):
            images = chunk.float()
            parts = self.sampled_terms(images, self.networks.encode(images), self.importance_samples)
            bounds.append(importance_weighted_bound(-sum(parts)))
        return torch.cat(bounds).cpu().double()

    @torch.no_grad()
    def encode(self, pixels: Tensor, samples: int) -> Tensor:
        """Return draws z (n, samples, d) of q(z|x) for binary images (n, h, w)."""
        _require_binary(pixels)
        chunks = pixels.split(DECODED_AT_ONCE)
        return torch.cat([self.networks.encode(chunk.float()).draw(samples)[0] for chunk in chunks])

    def decode(self, latents: Tensor) -> Tensor:
        """Return the means of the Bernoulli pixels, (n, *image_shape), from latents (n, d)."""
        return self.networks.logits(latents).sigmoid()


def _require_binary(pixels: Tensor) -> None:
    if len(pixels) and pixels.max() > 1:
        raise TriptychError(
            f"the Bernoulli decoder models pixels of 0 and 1, but the largest pixel is {int(pixels.max())}: "
            "choose a data set with a binarization"
        )

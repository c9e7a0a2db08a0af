"""The VAE as the loop sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.models.base import Family, Update
from triptych.models.vae.network import Vae
from triptych.objectives.vae import negative_elbo

if TYPE_CHECKING:
    from triptych.models.vae.settings import Model
    from triptych.training.images import HeldOutImages

CHUNK = 2000


class VaeFamily(Family):
    """Minimises the negative ELBO with one draw of z an image."""

    def __init__(self, network: Vae, latent: int) -> None:
        self.networks, self.latent = network, latent

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        images = pixels.float()
        reconstruction, kl = negative_elbo(images, *self.networks(images))
        loss = (reconstruction + kl).mean()
        update("model", loss)
        return {
            "negative_elbo": loss.detach(),
            "reconstruction": reconstruction.detach().mean(),
            "kl": kl.detach().mean(),
        }

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        return self.bound(images.pixels)

    @torch.no_grad()
    def bound(self, pixels: Tensor) -> dict[str, float]:
        """Means over the images of the negative ELBO, its two parts (nats per image), and the mean's standard error."""
        parts = [negative_elbo(chunk.float(), *self.networks(chunk.float())) for chunk in pixels.split(CHUNK)]
        reconstruction, kl = (torch.cat(part).double() for part in zip(*parts, strict=True))
        total = reconstruction + kl
        return {
            "negative_elbo": float(total.mean()),
            "reconstruction": float(reconstruction.mean()),
            "kl": float(kl.mean()),
            "negative_elbo_standard_error": float(total.std() / len(total) ** 0.5),
        }

    def decode(self, latents: Tensor) -> Tensor:
        """The means of the Bernoulli variables."""
        return self.networks.logits(latents).sigmoid()


def build(model: Model, image_shape: tuple[int, ...]) -> VaeFamily:
    """A freshly initialised VAE."""
    network = Vae(image_shape, model.latent, model.hidden, model.activation, model.decoder_shift)
    return VaeFamily(network, model.latent)

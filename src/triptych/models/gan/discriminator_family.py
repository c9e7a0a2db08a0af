"""A GAN with a discriminator, which classifies images as real or generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.models.gan.base import GanFamily
from triptych.models.gan.mlp import Discriminator, Generator
from triptych.models.gan.pixel_range import to_signed
from triptych.objectives.adversarial import discriminator_loss, non_saturating

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.family import Update
    from triptych.training.images import HeldOutImages


class DiscriminatorFamily(GanFamily):
    """Each step updates the discriminator once and then the generator once, each with newly generated images."""

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = Generator(model.latent, model.generator, image_shape, model.leak)
        self.discriminator = Discriminator(image_shape, model.discriminator, model.leak, model.dropout)
        self.networks = nn.ModuleDict({"generator": self.generator, "discriminator": self.discriminator})
        self.latent, self.label_noise = model.latent, model.label_noise

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        real = to_signed(pixels)
        with torch.no_grad():
            fake = self._generate(real)
        critic_loss = discriminator_loss(self.discriminator(real), self.discriminator(fake), self.label_noise)
        update("discriminator", critic_loss)
        loss = non_saturating(self.discriminator(self._generate(real)).float())
        update("generator", loss)
        return {"discriminator_loss": critic_loss.detach(), "generator_loss": loss.detach()}

    def _generate(self, real: Tensor) -> Tensor:
        """Return as many generated images as there are real ones."""
        return self.generator(torch.randn(len(real), self.latent, device=real.device))

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return both losses, and the discriminator's accuracy, on held-out images and as many generated ones."""
        real = to_signed(images.pixels)
        real_logits = self.discriminator(real)
        fake_logits = self.discriminator(self._generate(real))
        return {
            "discriminator_loss": float(discriminator_loss(real_logits, fake_logits)),
            "generator_loss": float(non_saturating(fake_logits.float())),
            "discriminator_accuracy": float(torch.cat([real_logits > 0, fake_logits < 0]).float().mean()),
        }

"""A generator against a discriminator that tells real from generated."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.models.gan.mlp import Discriminator, Generator
from triptych.models.gan.pixel_range import to_signed, to_unit
from triptych.objectives.gan import discriminator_loss, generator_loss
from triptych.training.family import Family, Update

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.images import HeldOutImages


class DiscriminatorFamily(Family):
    """The discriminator moves first, then the generator, each once a batch and each on fakes of its own."""

    recordable = True

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = Generator(model.latent, model.generator, image_shape, model.leak)
        self.discriminator = Discriminator(image_shape, model.discriminator, model.leak, model.dropout)
        self.networks = nn.ModuleDict({"generator": self.generator, "discriminator": self.discriminator})
        self.latent, self.label_noise = model.latent, model.label_noise

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(network.parameters()) for name, network in self.networks.items()}

    def _fakes(self, count: int, device: torch.device) -> Tensor:
        return self.generator(torch.randn(count, self.latent, device=device))

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        real = to_signed(pixels)
        with torch.no_grad():
            fake = self._fakes(len(real), real.device)
        critic = discriminator_loss(self.discriminator(real), self.discriminator(fake), self.label_noise)
        update("discriminator", critic)
        forger = generator_loss(self.discriminator(self._fakes(len(real), real.device)))
        update("generator", forger)
        return {"discriminator_loss": critic.detach(), "generator_loss": forger.detach()}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Both losses on real images that neither player has seen, and the share that the discriminator gets right."""
        real = to_signed(images.pixels)
        real_logits = self.discriminator(real)
        fake_logits = self.discriminator(self._fakes(len(real), real.device))
        return {
            "discriminator_loss": float(discriminator_loss(real_logits, fake_logits)),
            "generator_loss": float(generator_loss(fake_logits)),
            "discriminator_accuracy": float(torch.cat([real_logits > 0, fake_logits < 0]).float().mean()),
        }

    def decode(self, latents: Tensor) -> Tensor:
        """The generator's images, from (-1, 1) to (0, 1)."""
        return to_unit(self.generator(latents))

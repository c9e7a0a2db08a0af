"""The GAN as the loop sees it: two players in turn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.models.base import Family, Update
from triptych.models.gan.network import Discriminator, Generator
from triptych.objectives.gan import discriminator_loss, generator_loss

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.images import HeldOutImages


class GanFamily(Family):
    """The discriminator moves first, then the generator, each once a batch and each on fakes of its own."""

    def __init__(self, generator: Generator, discriminator: Discriminator, latent: int, label_noise: float) -> None:
        self.networks = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
        self.generator, self.discriminator = generator, discriminator
        self.latent, self.label_noise = latent, label_noise

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
        return (self.generator(latents) + 1) / 2


def to_signed(pixels: Tensor) -> Tensor:
    """8-bit pixels to [-1, 1], the range of tanh."""
    return pixels.float() / 127.5 - 1


def build(model: Model, image_shape: tuple[int, ...]) -> GanFamily:
    """A freshly initialised pair of players."""
    generator = Generator(model.latent, model.generator, image_shape, model.leak)
    discriminator = Discriminator(image_shape, model.discriminator, model.leak, model.dropout)
    return GanFamily(generator, discriminator, model.latent, model.label_noise)

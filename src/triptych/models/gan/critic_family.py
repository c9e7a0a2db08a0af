"""A GAN with a critic, which estimates the Jensen-Shannon divergence or the Wasserstein-1 distance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.models.gan.base import GanFamily
from triptych.models.gan.pixel_range import to_signed
from triptych.models.gan.resnet import ResidualCritic, ResidualGenerator
from triptych.objectives.adversarial import GENERATOR_LOSSES, METRICS, critic_terms
from triptych.training.distributed import draw_shard, shard

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.family import Update
    from triptych.training.images import HeldOutImages

CHUNK = 250  # images per forward pass in validation


class CriticFamily(GanFamily):
    """Each step updates the critic `critic_steps` times, each time on new images, and then the generator once.

    In training, the generator's batch normalisation uses the statistics of each batch. The averaged generator, from
    which samples are drawn, uses a copy of the running statistics.
    """

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = ResidualGenerator(model.latent, model.width, image_shape)
        self.penalised = model.reg_type != "none"
        self.critic = ResidualCritic(
            model.width, image_shape, spectral=model.spectral_normalization, penalised=self.penalised
        )
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic})
        self.latent, self.batches_per_step = model.latent, model.critic_steps
        self.terms = critic_terms(model.loss_type, model.reg_type if self.penalised else None, model.reg_cf)
        self.metric, self.generator_loss = METRICS[model.loss_type], GENERATOR_LOSSES[model.loss_type]

    def compiled(self) -> list[nn.Module]:
        """Return the modules to compile: not a penalised critic, since torch.compile differentiates only once."""
        return [self.generator] if self.penalised else [self.generator, self.critic]

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        for batch in to_signed(pixels).chunk(self.batches_per_step):
            real = shard(batch)
            with torch.no_grad():
                fake = self._generate(real)
            critic_loss, metric = self.terms(real, fake, self.critic)
            update("critic", critic_loss)
        loss = self.generator_loss(self.critic(self._generate(real)))
        update("generator", loss)
        return {"critic_loss": critic_loss.detach(), "metric": metric, "generator_loss": loss.detach()}

    def _generate(self, real: Tensor) -> Tensor:
        """Return as many generated images as there are real ones."""
        return self.generator(draw_shard(torch.randn, len(real), self.latent, device=real.device))

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return the critic's estimate and the generator's loss on held-out images and as many generated ones."""
        parts = images.pixels.split(CHUNK)
        cp = torch.cat([self.critic(to_signed(part)) for part in parts])
        latents = (torch.randn(len(part), self.latent, device=part.device) for part in parts)
        cq = torch.cat([self.critic(self.generator(part)) for part in latents])
        return {"metric": float(self.metric(cp, cq)), "generator_loss": float(self.generator_loss(cq))}

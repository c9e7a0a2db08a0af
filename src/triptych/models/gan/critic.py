"""A generator against a critic that estimates a distance: the Jensen-Shannon divergence, or Wasserstein's."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from triptych.models.gan.pixel_range import to_signed, to_unit
from triptych.models.gan.resnet import ResidualCritic, ResidualGenerator
from triptych.objectives.adversarial import METRICS, critic_terms, generator_loss
from triptych.training.distributed import draw_shard, shard
from triptych.training.family import Family, Update

if TYPE_CHECKING:
    from triptych.models.gan.settings import Model
    from triptych.training.images import HeldOutImages

CHUNK = 250  # images at once where nothing is learned


class CriticFamily(Family):
    """The critic moves first, `critic_steps` times and each time on fresh images, then the generator once.

    The generator's batch normalisation uses each batch's own statistics in training; what judges it, the moving average
    of its weights in evaluation mode, takes over the running statistics as they are.
    """

    recordable = True

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        self.generator = ResidualGenerator(model.latent, model.width, image_shape)
        self.penalised = model.reg_type != "none"
        self.critic = ResidualCritic(
            model.width, image_shape, spectral=model.spectral_normalization, penalised=self.penalised
        )
        self.networks = nn.ModuleDict({"generator": self.generator, "critic": self.critic})
        self.latent, self.batches_a_step = model.latent, model.critic_steps
        self.terms = critic_terms(model.loss_type, model.reg_type if self.penalised else None, model.reg_cf)
        self.metric, self.generator_loss = METRICS[model.loss_type], generator_loss(model.loss_type)

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def compiled(self) -> list[nn.Module]:
        """The compiler does not differentiate twice, which a gradient penalty needs."""
        return [self.generator] if self.penalised else [self.generator, self.critic]

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(network.parameters()) for name, network in self.networks.items()}

    def _fakes(self, real: Tensor) -> Tensor:
        return self.generator(draw_shard(torch.randn, len(real), self.latent, device=real.device))

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        for batch in to_signed(pixels).chunk(self.batches_a_step):
            real = shard(batch)
            with torch.no_grad():
                fake = self._fakes(real)
            loss, metric = self.terms(real, fake, self.critic)
            update("critic", loss)
        forged = self.generator_loss(self.critic(self._fakes(real)))
        update("generator", forged)
        return {"critic_loss": loss.detach(), "metric": metric, "generator_loss": forged.detach()}

    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """What the critic estimates, and the generator's loss, on images that neither has seen and as many samples."""
        parts = images.pixels.split(CHUNK)
        cp = torch.cat([self.critic(to_signed(part)) for part in parts])
        latents = (torch.randn(len(part), self.latent, device=part.device) for part in parts)
        cq = torch.cat([self.critic(self.generator(part)) for part in latents])
        return {"metric": float(self.metric(cp, cq)), "generator_loss": float(self.generator_loss(cq))}

    def decode(self, latents: Tensor) -> Tensor:
        """The generator's images, from (-1, 1) to (0, 1)."""
        return to_unit(self.generator(latents))

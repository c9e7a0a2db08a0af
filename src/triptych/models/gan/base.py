"""What GANs with a discriminator and GANs with a critic share."""

from __future__ import annotations

from torch import Tensor, nn

from triptych.models.gan.pixel_range import to_unit
from triptych.training.family import Family


class GanFamily(Family):
    """A generator and its opponent, each with an optimiser. Samples are drawn from the averaged generator."""

    networks: nn.ModuleDict
    generator: nn.Module
    can_be_graphed = True

    @property
    def averaged(self) -> nn.Module:
        return self.generator

    def players(self) -> dict[str, list[nn.Parameter]]:
        return {name: list(network.parameters()) for name, network in self.networks.items()}

    def decode(self, latents: Tensor) -> Tensor:
        return to_unit(self.generator(latents))

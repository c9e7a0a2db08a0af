"""What a model family is to the loop, the tracker and the stages."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from triptych.training.images import HeldOutImages

Update = Callable[[str, Tensor], None]


class Family(ABC):
    """A generative model with what it needs to be trained.

    A new family subclasses this, and nothing else has to know about it but the registry.
    """

    networks: nn.Module
    """Everything that has weights."""
    latent: int
    """Dimensions of the standard normal that samples start from."""
    first_snapshot: ClassVar[int] = 0
    """The epoch after which the first samples are shown."""
    epoch: float = 0.0
    """Epochs of training so far; the loop sets it before each step, for objectives that change on the way."""

    batches_a_step: int = 1
    """Batches of real images that one update uses up."""
    recordable: bool = False
    """Whether all steps are the same work on a GPU's own numbers, so that one can be recorded and repeated: not if one
    looks at `epoch`, draws from the host's generators or asks for the value of a tensor."""

    @property
    def averaged(self) -> nn.Module:
        """The part of the networks that samples are made by: what EMA averages, and what snapshots keep."""
        return self.networks

    def compiled(self) -> list[nn.Module]:
        """The modules that torch.compile is worth its start for, and that it can differentiate."""
        return []

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Parameters by the name of the optimiser that updates them."""
        return {"model": list(self.networks.parameters())}

    def initialise(self, pixels: Tensor) -> None:  # noqa: B027 (most families have nothing to set)
        """Set what starts from data, given the training images uint8 (n, ...)."""

    def culprit(self, pixels: Tensor) -> str:
        """Words on where the networks first made of these images what is not finite, for an error; or nothing."""
        return ""

    @abstractmethod
    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        """One update from images uint8 (n, ...), `batches_a_step` batches: call `update(player, loss)` for each player.

        Returns the loss first, then whatever else is worth a curve, each a detached scalar.
        """

    @abstractmethod
    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """The family's numbers on held-out images; the headline first."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Images (n, ...) in [0, 1] from latents (n, latent)."""

    def draw_latents(self, count: int, source: torch.Generator) -> Tensor:
        """Standard normal latents (count, latent) from a CPU generator, on the networks' device."""
        device = next(self.networks.parameters()).device
        return torch.randn(count, self.latent, generator=source).to(device)

    @torch.no_grad()
    def sample(self, latents: Tensor, chunk: int = 500) -> Tensor:
        """Images (n, ...) in [0, 1] on the CPU, decoded in chunks by the networks in evaluation mode."""
        self.networks.eval()
        return torch.cat([self.decode(part).cpu() for part in latents.split(chunk)])

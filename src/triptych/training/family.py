"""The interface between a model family and the training loop, the stages and the evaluation."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

from triptych.training.images import HeldOutImages

Update = Callable[[str, Tensor], None]
"""Makes one optimiser step of a player, given its name and its loss."""


class Family(ABC):
    """A generative model and all that its training needs. A new family is a subclass and an entry in the registry."""

    networks: nn.Module
    """All modules that have weights."""
    latent: int
    """Dimensions of the standard normal latents that samples are decoded from."""
    first_snapshot: ClassVar[int] = 0
    """The epoch after which the first snapshot is taken."""
    epoch: float = 0.0
    """Epochs of training so far. The loop sets it before each step, for objectives that change during training."""
    batches_per_step: int = 1
    """Batches of real images that one step uses."""
    can_be_graphed: bool = False
    """Whether a CUDA graph can replay a step. It cannot if the step reads `epoch`, draws from a generator of the host,
    or reads the value of a tensor."""

    @property
    def averaged(self) -> nn.Module:
        """The networks that samples are drawn from. EMA averages them, and snapshots keep them."""
        return self.networks

    def compiled(self) -> list[nn.Module]:
        """Return the modules that torch.compile makes faster and can differentiate."""
        return []

    def players(self) -> dict[str, list[nn.Parameter]]:
        """Return the parameters by the name of the player whose optimiser updates them."""
        return {"model": list(self.networks.parameters())}

    def initialise(self, pixels: Tensor) -> None:  # noqa: B027 (most families initialise nothing from data)
        """Set the weights that are initialised from data, given the training images uint8 (n, ...)."""

    def first_non_finite_layer(self, pixels: Tensor) -> str:
        """Return a phrase that names the first layer with an output that is not finite, or an empty string."""
        return ""

    @abstractmethod
    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        """Make one step from images uint8 (n, ...), `batches_per_step` batches: call `update(player, loss)` per player.

        Returns detached scalars by name. Each becomes a column of the history, and the progress line shows the first.
        """

    @abstractmethod
    def validate(self, images: HeldOutImages) -> dict[str, float]:
        """Return the family's numbers on held-out images, the headline first."""

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Return images (n, ...) in [0, 1] from latents (n, latent)."""

    def draw_latents(self, count: int, source: torch.Generator) -> Tensor:
        """Return standard normal latents (count, latent) from a CPU generator, on the networks' device."""
        device = next(self.networks.parameters()).device
        return torch.randn(count, self.latent, generator=source).to(device)

    @torch.no_grad()
    def sample(self, latents: Tensor, chunk: int = 500) -> Tensor:
        """Return images (n, ...) in [0, 1] on the CPU, decoded in chunks by the networks in evaluation mode."""
        self.networks.eval()
        return torch.cat([self.decode(part).cpu() for part in latents.split(chunk)])

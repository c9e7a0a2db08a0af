"""One interface for every step of a flow, their composition, and a flow: a composition with a base density."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from triptych.objectives.flow import log_likelihood


class Transform(nn.Module):
    """An invertible map. Both directions return the mapped tensor and log |det J| of that direction, (n,), in nats."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """From data towards the base: z and log |det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """From the base towards data: x and log |det dx/dz|."""

    def initialise(self, x: Tensor) -> None:
        """Set what starts from data, given some of what `forward` will be given; most transforms have nothing."""


class Composition(Transform):
    """Transforms one after another; the log determinants add up."""

    def __init__(self, transforms: Iterable[Transform]) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(transforms)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for transform in self.transforms:
            x, log_det = transform(x)
            total = total + log_det
        return x, total

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        total = z.new_zeros(len(z))
        for transform in reversed(self.transforms):
            z, log_det = transform.inverse(z)
            total = total + log_det
        return z, total

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        for transform in self.transforms:
            transform.initialise(x)
            x, _ = transform(x)

    def way_back(self, z: Tensor) -> list[Tensor]:
        """z, and what it is after the inverse of each transform, the last one first; the end of the list is x."""
        seen = [z]
        for transform in reversed(self.transforms):
            seen.append(transform.inverse(seen[-1])[0])
        return seen

    @torch.no_grad()
    def culprit(self, x: Tensor) -> str | None:
        """The first transform that makes x, or its log determinant, not finite: its place and name; or None."""
        for place, transform in enumerate(self.transforms, 1):
            z, log_det = transform(x)
            if not (z.isfinite().all() and log_det.isfinite().all()):
                inside = isinstance(transform, Composition) and transform.culprit(x)
                return inside or f"{type(transform).__name__}, layer {place} of {len(self.transforms)}"
            x = z
        return None


class Flow(Composition):
    """A composition from data to a standard normal base N(0, I)."""

    def calc_likelihood(self, x: Tensor) -> Tensor:
        """log p(x), (n,), in nats (Rezende and Mohamed 2015, equation 5)."""
        return log_likelihood(*self(x))

    def sample(self, latents: Tensor) -> Tensor:
        """x from latents z ~ N(0, I): the inverse alone."""
        return self.inverse(latents)[0]

"""Invertible transforms with log determinants, their composition, and the flow with its base density."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import torch
from torch import Tensor, nn

from triptych.objectives.flow import log_likelihood


class Transform(nn.Module, ABC):
    """An invertible map. Each direction returns the mapped tensor and its own log |det J|, (n,) in nats."""

    @abstractmethod
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Map data towards the base: return z and log |det dz/dx|."""

    @abstractmethod
    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Map the base towards data: return x and log |det dx/dz|."""

    def initialise(self, x: Tensor) -> None:
        """Set the parameters that are initialised from data, given inputs x of `forward`; by default there are none."""


class Composition(Transform):
    """Transforms one after another. Their log determinants add up."""

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

    def inverse_steps(self, z: Tensor) -> list[Tensor]:
        """Return z and the result after the inverse of each transform, in the order of the inverse; x is last."""
        steps = [z]
        for transform in reversed(self.transforms):
            steps.append(transform.inverse(steps[-1])[0])
        return steps

    @torch.no_grad()
    def first_non_finite(self, x: Tensor) -> str | None:
        """Return the name and place of the first transform whose output or log determinant is not finite, or None."""
        for place, transform in enumerate(self.transforms, 1):
            z, log_det = transform(x)
            if not (z.isfinite().all() and log_det.isfinite().all()):
                inside = isinstance(transform, Composition) and transform.first_non_finite(x)
                return inside or f"{type(transform).__name__}, layer {place} of {len(self.transforms)}"
            x = z
        return None


class Flow(Composition):
    """A composition from data to the standard normal base N(0, I)."""

    def calc_likelihood(self, x: Tensor) -> Tensor:
        """Return log p(x), (n,) in nats per example (Rezende and Mohamed 2015, equation 5)."""
        return log_likelihood(*self(x))

    def sample(self, latents: Tensor) -> Tensor:
        """Return x from latents z ~ N(0, I)."""
        return self.inverse(latents)[0]

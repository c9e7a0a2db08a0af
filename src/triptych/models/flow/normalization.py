"""Learned factors and shifts, one a dimension or one a channel, that start from data."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform

LEAST = 1e-3  # standard deviation that a factor may start from: a pixel of one value has none


def _mean_and_spread(x: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation, both of the given shape: over examples (n, ...) and wherever the shape says 1."""
    over = [0, *(axis for axis, size in enumerate(shape, start=1) if size == 1)]
    return x.mean(over).view(shape), x.std(over).clamp(min=LEAST).view(shape)


class Scaling(Transform):
    """z = x exp(s), s learned, one a dimension (Dinh et al. 2015, NICE, section 3.3)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = sum of s, from x (n, d)."""
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = -sum of s, from z (n, d)."""
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Give z standard deviation 1 in each dimension."""
        self.log_scale.copy_(-_mean_and_spread(x, self.log_scale.shape)[1].log())


class ActNorm(Transform):
    """z = (x + b) exp(s), one b and s for all, a dimension or a channel (Kingma and Dhariwal 2018, section 3.1)."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        """`shape` is (1,) or (d,) for vectors (n, d), (c, 1, 1) for images (n, c, h, w)."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def _log_det(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * (x[0].numel() // self.log_scale.numel())).expand(len(x))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = sum of s over dimensions, from x (n, d) or (n, c, h, w)."""
        return (x + self.bias) * self.log_scale.exp(), self._log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz|, from z of the same shapes."""
        return z * (-self.log_scale).exp() - self.bias, -self._log_det(z)

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Give z mean 0 and standard deviation 1, over all, in each dimension or in each channel."""
        mean, spread = _mean_and_spread(x, self.bias.shape)
        self.bias.copy_(-mean)
        self.log_scale.copy_(-spread.log())

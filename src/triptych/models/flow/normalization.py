"""Learned factors and shifts, per dimension or per channel, that are initialised from data."""

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform

LEAST = 1e-3  # lower limit of a standard deviation, for pixels that never change


class Scaling(Transform):
    """z = x exp(s) for x (n, d), with one learned s per dimension (Dinh et al. 2015, NICE, section 3.3)."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x * self.log_scale.exp(), self.log_scale.sum().expand(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp(), -self.log_scale.sum().expand(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set s so that z has standard deviation 1 in each dimension."""
        self.log_scale.copy_(-_mean_and_deviation(x, self.log_scale.shape)[1].log())


class ActNorm(Transform):
    """z = (x + b) exp(s), with learned b and s: one pair for all values, per dimension or per channel.

    Kingma and Dhariwal (2018, section 3.1) have s * x + b.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        """Set up b and s of shape (1,) or (d,) for vectors (n, d), or (c, 1, 1) for images (n, c, h, w)."""
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(shape))
        self.bias = nn.Parameter(torch.zeros(shape))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z and log |det dz/dx| = sum of s over all dimensions, from x (n, d) or (n, c, h, w)."""
        return (x + self.bias) * self.log_scale.exp(), self._log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return z * (-self.log_scale).exp() - self.bias, -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        return (self.log_scale.sum() * (x[0].numel() // self.log_scale.numel())).expand(len(x))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """Set b and s so that z has mean 0 and standard deviation 1 wherever b and s are shared."""
        mean, deviation = _mean_and_deviation(x, self.bias.shape)
        self.bias.copy_(-mean)
        self.log_scale.copy_(-deviation.log())


def _mean_and_deviation(x: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of x (n, ...), over the examples and over each axis where `shape` is 1."""
    over = [0, *(axis for axis, size in enumerate(shape, start=1) if size == 1)]
    return x.mean(over).view(shape), x.std(over).clamp(min=LEAST).view(shape)

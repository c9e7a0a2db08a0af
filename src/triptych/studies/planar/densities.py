"""Two unnormalised densities of the plane, p(z) proportional to exp(-u(z)), and exact samples of them.

`arcs` are two facing arcs of a ring, `sine` is a sinusoidal band (Rezende and Mohamed 2015, table 1). Both energies are
written with quadratic forms and logaddexp: the usual form -log(exp(...)) has infinite gradients far from the arcs.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

WALL = 4.0  # |z1| above which a soft wall confines the sine
BOX = (7.5, 5.0)  # half sides of a rectangle that holds all but 1e-8 of each density
STEP = 0.05  # of the grid for quadrature
PROPOSALS = 100_000  # of rejection sampling at a time


def arcs_energy(z: Tensor) -> Tensor:
    """Return u (...,) of points (..., 2).

    u = ((|z| - 2) / 0.4)^2 / 2 - log(e(2) + e(-2)) with e(m) = exp(-((z1 - m) / 0.6)^2 / 2). The squares in the two
    exponents are written out: they differ only in the sign of 4 z1 / 0.72.

    >>> arcs_energy(torch.tensor([[2.0, 0.0], [0.0, 2.0]]))
    tensor([0.0000, 4.8624])
    """
    x = z[..., 0]
    difference = x * (4 / 0.72)
    ring = (torch.linalg.vector_norm(z, dim=-1) - 2).square() * (0.5 / 0.4**2)
    return ring + (x.square() + 4) * (1 / 0.72) - torch.logaddexp(difference, -difference)


def sine_energy(z: Tensor) -> Tensor:
    """Return u (...,) of points (..., 2): u = ((z2 - sin(2 pi z1 / 4)) / 0.4)^2 / 2 + 2 relu(|z1| - 4)^2.

    The second term is not in the paper. Without it the integral along z1 is infinite, and losses have no lower bound.

    >>> sine_energy(torch.tensor([[1.0, 1.0], [1.0, 1.4], [5.0, 1.0]]))
    tensor([0.0000, 0.5000, 2.0000])
    """
    x, y = z.unbind(-1)
    return (y - (math.pi / 2 * x).sin()).square() * (0.5 / 0.4**2) + 2 * (x.abs() - WALL).relu().square()


@dataclass(frozen=True)
class Density:
    """A density with energy u, its constants by quadrature, and exact samples."""

    energy: Callable[[Tensor], Tensor]
    floor: float
    """A lower bound of u."""

    def log_normaliser(self) -> float:
        """Return log of the integral of exp(-u), in nats."""
        return float((-self.energy(grid())).logsumexp(0)) + 2 * math.log(STEP)

    def entropy(self) -> float:
        """Return -E log p in nats, the lower bound of every model's expected negative log-likelihood."""
        energy, log_normaliser = self.energy(grid()), self.log_normaliser()
        return float(((-energy - log_normaliser).exp() * energy).sum()) * STEP**2 + log_normaliser

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        """Return exact samples (count, 2), float64, by rejection from the uniform density on the box."""
        accepted: list[Tensor] = []
        while sum(map(len, accepted)) < count:
            draws = torch.rand(PROPOSALS, 3, generator=source, dtype=torch.float64)
            points = (2 * draws[:, :2] - 1) * torch.tensor(BOX, dtype=torch.float64)
            accepted.append(points[draws[:, 2].log() < self.floor - self.energy(points)])
        return torch.cat(accepted)[:count]


DENSITIES = {"arcs": Density(arcs_energy, -math.log(2)), "sine": Density(sine_energy, 0.0)}


def grid(step: float = STEP, sides: tuple[float, float] = BOX) -> Tensor:
    """Return the midpoints (n, 2), float64, of square cells that cover a rectangle of these half sides, z2 fastest."""
    axes = [torch.arange(-side + step / 2, side, step, dtype=torch.float64) for side in sides]
    return torch.cartesian_prod(*axes)

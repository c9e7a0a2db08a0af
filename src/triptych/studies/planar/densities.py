"""Two unnormalised densities of the plane, p(z) proportional to exp(-u(z)), and exact draws from them.

`arcs` are two facing arcs of a ring, `sine` is a sinusoidal band. Both energies are written with quadratic forms and
logaddexp: the -log(exp(...)) that they are often given as has infinite gradients away from the arcs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

WALL = 4.0  # |z1| beyond which the sine is confined
BOX = (7.5, 5.0)  # half the sides of the rectangle that holds all but 1e-8 of either density
STEP = 0.05  # of the quadrature's grid
DRAWS = 100_000  # proposals at a time


def arcs_energy(z: Tensor) -> Tensor:
    """u of points (..., 2), (...,): ((|z| - 2) / 0.4)^2 / 2 - log(e(2) + e(-2)); e(m) = exp(-((z1 - m) / 0.6)^2 / 2).

    With the squares in the exponents written out, of which only 4 z1 / 0.72 differs between the two.
    """
    x = z[..., 0]
    difference = x * (4 / 0.72)
    ring = (torch.linalg.vector_norm(z, dim=-1) - 2).square() * (0.5 / 0.4**2)
    return ring + (x.square() + 4) * (1 / 0.72) - torch.logaddexp(difference, -difference)


def sine_energy(z: Tensor) -> Tensor:
    """u of points (..., 2), (...,): ((z2 - sin(2 pi z1 / 4)) / 0.4)^2 / 2 + 2 relu(|z1| - 4)^2.

    Without the second term the integral along z1 is infinite: a loss would have no floor, and samples would drift away.
    """
    x, y = z.unbind(-1)
    return (y - (math.pi / 2 * x).sin()).square() * (0.5 / 0.4**2) + 2 * (x.abs() - WALL).relu().square()


@dataclass(frozen=True)
class Density:
    """An energy u with what follows from it by quadrature."""

    energy: Callable[[Tensor], Tensor]
    floor: float
    """A bound that u never falls below."""

    def log_normaliser(self) -> float:
        """log of the integral of exp(-u), in nats."""
        return float((-self.energy(grid())).logsumexp(0)) + 2 * math.log(STEP)

    def entropy(self) -> float:
        """-E log p in nats: what no model's negative log-likelihood can be below, on average."""
        energy, log_normaliser = self.energy(grid()), self.log_normaliser()
        return float(((-energy - log_normaliser).exp() * energy).sum()) * STEP**2 + log_normaliser

    def sample(self, count: int, source: torch.Generator) -> Tensor:
        """Exact draws (count, 2), float64, by rejection from the uniform density on the box."""
        return torch.cat(list(self._accepted(count, source)))[:count]

    def _accepted(self, count: int, source: torch.Generator) -> Iterator[Tensor]:
        found = 0
        while found < count:
            draws = torch.rand(DRAWS, 3, generator=source, dtype=torch.float64)
            points = (2 * draws[:, :2] - 1) * torch.tensor(BOX, dtype=torch.float64)
            kept = points[draws[:, 2].log() < self.floor - self.energy(points)]
            found += len(kept)
            yield kept


DENSITIES = {"arcs": Density(arcs_energy, -math.log(2)), "sine": Density(sine_energy, 0.0)}


def grid(step: float = STEP, sides: tuple[float, float] = BOX) -> Tensor:
    """The midpoints (n, 2), float64, of square cells that cover the rectangle of these half sides; z2 runs fastest."""
    axes = [torch.arange(-side + step / 2, side, step, dtype=torch.float64) for side in sides]
    return torch.cartesian_prod(*axes)


def share_on_the_left(z: Tensor) -> float:
    """The share of points (n, 2) that are on the left arc, z1 < 0."""
    return float((z[:, 0] < 0).double().mean())

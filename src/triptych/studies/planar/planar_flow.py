"""One trained planar flow with a numerical inverse, loaded from disk."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from triptych.core.errors import TriptychError
from triptych.objectives.planar import get_logdet, planar_flow
from triptych.training.weights import load_tensors

PART_NAMES = ("u", "w", "b")
MOST_ITERATIONS = 200  # of the root search, which ends long before
TOLERANCE = 1e-15  # relative, in float64


class PlanarFlow(nn.Module):
    """k planar layers, u and w (k, d), b (k, 1), each with w'u > -1: `invertible` is already applied to u."""

    def __init__(self, u: Tensor, w: Tensor, b: Tensor) -> None:
        super().__init__()
        for name, part in zip(PART_NAMES, (u, w, b), strict=True):
            self.register_buffer(name, part)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (n, d) and log |det dz/dx| (n,) in nats of x (n, d)."""
        return planar_flow(x, self.u, self.w, self.b)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return x (n, d) and log |det dx/dz| (n,) in nats of z (n, d), computed in float64, in the type of z.

        A layer moves a point along u by h = tanh(w'x + b). So its inverse is a root search for alpha = w'x alone:
        alpha + w'u tanh(alpha + b) = w'z, which is increasing in alpha.
        """
        x, total = z.double(), z.new_zeros(len(z), dtype=torch.float64)
        for u, w, b in reversed(list(zip(self.u.double(), self.w.double(), self.b.double(), strict=True))):
            alpha = _solve(x @ w, w @ u, b)
            x = x - u * (alpha + b).tanh()[:, None]
            total = total - get_logdet(x, u, w, b)
        return x.to(z.dtype), total.to(z.dtype)


def _solve(target: Tensor, slope: Tensor, shift: Tensor) -> Tensor:
    """Return alpha (n,) with alpha + slope tanh(alpha + shift) = target, by Newton's method in a shrinking bracket.

    A Newton step that is not at most half the step before is replaced by bisection: on a steep tanh, Newton's method
    may oscillate for ever.
    """
    low, high = target - slope.abs(), target + slope.abs()
    alpha, moved = target, high - low
    for _ in range(MOST_ITERATIONS):
        h = (alpha + shift).tanh()
        error = alpha + slope * h - target
        low, high = torch.where(error < 0, alpha, low), torch.where(error > 0, alpha, high)
        newton = alpha - error / (1 + slope * (1 - h.square()))
        close = (newton - alpha).abs() <= TOLERANCE * (1 + alpha.abs())
        inside = (low <= newton) & (newton <= high) & ((newton - alpha).abs() <= moved / 2)
        step = torch.where(inside | close, newton, (low + high) / 2)
        moved = (step - alpha).abs()
        alpha = step
        if bool(close.all()):
            break
    return alpha


def load_planar_flow(path: Path, name: str) -> PlanarFlow:
    """Return the flow stored under `name/u`, `name/w` and `name/b`.

    Raises TriptychError if the file is missing or damaged, if it lacks the flow, or if a layer is not invertible.
    """
    tensors = load_tensors(path)
    keys = [f"{name}/{part}" for part in PART_NAMES]
    missing = [key for key in keys if key not in tensors]
    if missing:
        raise TriptychError(f"{path} holds no {missing[0]}: run the stage that makes it again")
    u, w, b = (tensors[key] for key in keys)
    inner, finite = (u.double() * w.double()).sum(1), torch.cat([u, w, b], dim=1).isfinite().all(1)
    for layer in (~(finite & (inner > -1))).nonzero().flatten().tolist()[:1]:
        raise TriptychError(
            f"{path}: layer {layer + 1} of {name} is not invertible (its w'u is {float(inner[layer]):g}, but must be "
            "finite and above -1): run the stage that makes it again"
        )
    return PlanarFlow(u, w, b)

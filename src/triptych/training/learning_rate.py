"""The learning-rate schedule."""

from __future__ import annotations

import math


def learning_rate(base: float, schedule: str, fraction: float) -> float:
    """Return the learning rate after a `fraction` in [0, 1] of all updates.

    `constant` keeps the base rate. `cosine` lowers it to 0 along half a cosine, without restarts (Loshchilov and
    Hutter 2017, equation 5).

    >>> [learning_rate(0.1, "cosine", fraction) for fraction in (0.0, 0.5, 1.0)]
    [0.1, 0.05, 0.0]
    """
    factor = 1.0 if schedule == "constant" else (1 + math.cos(math.pi * fraction)) / 2
    return base * factor

"""The learning rate during a training."""

from __future__ import annotations

import math
from collections.abc import Sequence


def learning_rate(base: float, schedule: str, fraction: float) -> float:
    """Return the learning rate after a `fraction` in [0, 1] of all updates.

    `constant` keeps the base rate. `cosine` lowers it to 0 along half a cosine, without restarts (Loshchilov and
    Hutter 2017, equation 5).

    >>> [learning_rate(0.1, "cosine", fraction) for fraction in (0.0, 0.5, 1.0)]
    [0.1, 0.05, 0.0]
    """
    factor = 1.0 if schedule == "constant" else (1 + math.cos(math.pi * fraction)) / 2
    return base * factor


def decay(factor: float, epochs: Sequence[int] | None, completed: int) -> float:
    """Return the product of all decays of the learning rate after a number of completed epochs.

    Each of `epochs` multiplies the rate by `factor` when it is completed; None stands for every epoch.

    >>> [decay(0.5, [2, 5], completed) for completed in (0, 1, 2, 5, 9)]
    [1.0, 1.0, 0.5, 0.25, 0.25]
    >>> decay(0.5, None, 3)
    0.125
    """
    times = completed if epochs is None else sum(epoch <= completed for epoch in epochs)
    return factor**times

"""Detection of divergence: losses that are not finite or too large, and networks that no longer learn."""

from __future__ import annotations

import math

from torch import Tensor

LARGEST_LOSS = 1e12  # above it, float32 has no digits left for the effect of one step
CHECK_STEPS = 50  # steps between two checks: a check at every step would make a GPU wait


def find_divergence(quantities: Tensor, first_step: int) -> str:
    """Return a description of the divergence in consecutive steps, or an empty string.

    `quantities` (steps, n) holds the loss and the other quantities of each step, `first_step` the number of its first
    row. A run diverges if a quantity is not finite or above LARGEST_LOSS, or if all quantities stay equal for
    CHECK_STEPS steps.
    """
    bad = (~(quantities.abs() < LARGEST_LOSS)).nonzero().tolist()
    if bad:
        step, column = bad[0]
        value = float(quantities[step, column])
        found = f"{value:.2g}" if math.isfinite(value) else "not finite"
        return f"the loss is {found} at step {first_step + step:,}"
    if len(quantities) == CHECK_STEPS and bool((quantities == quantities[0]).all()):
        last_step = first_step + CHECK_STEPS - 1
        loss = float(quantities[0, 0])
        return f"its networks are dead, the loss is {loss:g} for every batch from step {first_step:,} to {last_step:,}"
    return ""

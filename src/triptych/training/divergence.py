"""The check whether a training run diverges: its loss is not finite or too large, or its networks are dead."""

import math
from collections.abc import Sequence

from torch import Tensor

from triptych.core.errors import DivergenceError

LARGEST_LOSS = 1e12  # above it, float32 has no digits left for the effect of one step
CHECK_STEPS = 50  # steps between two checks for divergence: a check at every step would make a GPU wait


def divergence(name: str, problem: str) -> DivergenceError:
    """Return the error of an experiment that diverged, with what to do."""
    return DivergenceError(
        f"{name} diverged: {problem}; lower experiments.{name}.learning_rate or set its gradient_clip"
    )


def find_divergence(names: Sequence[str], quantities: Tensor, first_step: int) -> str:
    """Return a description of the divergence in the steps of `quantities` (steps, n), or an empty string.

    `names` are those of the n quantities.
    """
    bad = (~(quantities.abs() < LARGEST_LOSS)).nonzero().tolist()
    if bad:
        step, column = bad[0]
        value = float(quantities[step, column])
        found = f"{value:.2g}" if math.isfinite(value) else "not finite"
        return f"{names[column]} is {found} at step {first_step + step:,}"
    if len(quantities) == CHECK_STEPS and bool((quantities == quantities[0]).all()):
        steps = f"from step {first_step:,} to {first_step + CHECK_STEPS - 1:,}"
        return f"its networks are dead, {names[0]} is {float(quantities[0, 0]):g} for every batch {steps}"
    return ""

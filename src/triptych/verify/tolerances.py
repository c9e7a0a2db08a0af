"""How far a number may be from the committed one before it counts as drifted."""

from __future__ import annotations

RELATIVE = 0.01


def tolerance(key: str, kept: float) -> float:
    return max(abs(kept) * RELATIVE, 1e-6)

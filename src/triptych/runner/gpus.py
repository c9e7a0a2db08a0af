"""The GPUs that stages may use, without importing torch, and how lanes share them.

A stage sees its GPU alone, as the first: it computes as on a machine with no other, so that results do not tell which
one it was.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

VARIABLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
NUMBERED = re.compile(r"nvidia\d+")
UNCOUNTED = ("nvidiactl", "kfd", "dxg")  # drivers whose GPUs, if they have no such numbers, nothing here counts


def visible() -> list[str]:
    """The GPUs by the names that CUDA takes: those that the user has named, else the numbers of all there are."""
    named = os.environ.get(VARIABLE)
    if named is None:
        there = [path for path in DEVICES.glob("nvidia*") if NUMBERED.fullmatch(path.name)]
        return [str(number) for number in range(len(there))]
    found = []
    for name in map(str.strip, named.split(",")):
        if not name or name.startswith("-"):  # CUDA takes what stands before
            break
        found.append(name)
    return found


def uncounted() -> bool:
    """Whether there is a GPU that `visible` does not know, and the user has not said that none is to be used."""
    return VARIABLE not in os.environ and any((DEVICES / name).exists() for name in UNCOUNTED)


@dataclass
class Shares:
    """Who has which GPU: each new stage gets one of those that the fewest others are on, the first of them."""

    gpus: list[str]
    taken: Counter[str] = field(default_factory=Counter)

    def take(self) -> dict[str, str]:
        """The variables with which a stage sees its GPU, and no other; none where there are no GPUs to share."""
        if not self.gpus:
            return {}
        chosen = min(self.gpus, key=self.taken.__getitem__)
        self.taken[chosen] += 1
        return {VARIABLE: chosen}

    def give_back(self, variables: dict[str, str]) -> None:
        """A stage with these variables has ended."""
        self.taken.subtract(variables.values())

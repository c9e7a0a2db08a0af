"""Find the GPUs that stages may use, without importing torch, and share them among parallel stages.

Each stage sees only its own GPUs, numbered from 0. Its results therefore do not depend on the GPU's number.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.training.settings import Runtime

VARIABLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
NUMBERED = re.compile(r"nvidia\d+")
OTHER_DRIVERS = ("nvidiactl", "kfd", "dxg")  # their GPUs cannot be counted unless they have numbered device files


def gpu_groups(runtime: Runtime) -> list[str]:
    """Return the GPUs that stages share, in groups of `runtime.processes`, as values of `CUDA_VISIBLE_DEVICES`.

    The list is empty without CUDA, or if the GPUs cannot be counted.
    """
    gpus = visible_gpus() if runtime.device in ("auto", "cuda") else []
    size = runtime.processes
    groups = [gpus[start : start + size] for start in range(0, len(gpus) - size + 1, size)]
    return [",".join(group) for group in groups or [gpus] if group]


def visible_gpus() -> list[str]:
    """Return the CUDA GPUs by name: those in `CUDA_VISIBLE_DEVICES` if it is set, else the numbers of all GPUs."""
    chosen = os.environ.get(VARIABLE)
    if chosen is None:
        count = sum(bool(NUMBERED.fullmatch(path.name)) for path in DEVICES.glob("nvidia*"))
        return [str(number) for number in range(count)]
    gpus = []
    for name in map(str.strip, chosen.split(",")):
        if not name or name.startswith("-"):  # CUDA ignores everything from the first invalid name on
            break
        gpus.append(name)
    return gpus


def has_uncounted_gpu() -> bool:
    """Return whether a GPU exists that `visible_gpus` cannot count, unless the user has set `CUDA_VISIBLE_DEVICES`."""
    return VARIABLE not in os.environ and any((DEVICES / name).exists() for name in OTHER_DRIVERS)


class GpuPool:
    """Give each new stage the group of GPUs with the fewest running stages."""

    def __init__(self, groups: Sequence[str]) -> None:
        """Share these values of `CUDA_VISIBLE_DEVICES`; without any, stages see all GPUs."""
        self.groups = groups
        self.stages: Counter[str] = Counter()

    def take(self) -> dict[str, str]:
        """Return the environment variables that show a new stage its GPUs; empty if there are none to share."""
        if not self.groups:
            return {}
        chosen = min(self.groups, key=self.stages.__getitem__)
        self.stages[chosen] += 1
        return {VARIABLE: chosen}

    def release(self, variables: dict[str, str]) -> None:
        """Record that the stage with these variables has ended."""
        self.stages.subtract(variables.values())

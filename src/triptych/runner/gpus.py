"""Find the GPUs that stages may use, without importing torch, and share them among parallel stages.

Each stage sees only its own GPUs, numbered from 0. Its results therefore do not depend on the GPU's number.
"""

from __future__ import annotations

import os
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.training.settings import Runtime

VARIABLE = "CUDA_VISIBLE_DEVICES"
DEVICES = Path("/dev")
DRIVER_FILES = ("nvidiactl", "kfd", "dxg")  # of GPUs, which are counted only if they have numbered device files


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
        return [str(number) for number, _ in enumerate(DEVICES.glob("nvidia[0-9]*"))]
    names = map(str.strip, chosen.split(","))
    return list(takewhile(lambda name: name and name[0] != "-", names))  # CUDA ignores all from an invalid name on


def has_gpu_driver() -> bool:
    """Return whether a GPU driver is installed, or False if the user has set `CUDA_VISIBLE_DEVICES`.

    If `visible_gpus` is empty, the GPUs of this driver cannot be counted.
    """
    return VARIABLE not in os.environ and any((DEVICES / name).exists() for name in DRIVER_FILES)

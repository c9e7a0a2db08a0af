"""How many stages run in parallel, and in which order."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.runner.gpus import gpu_groups, has_gpu_driver

if TYPE_CHECKING:
    from triptych.training.settings import Runtime


@dataclass(frozen=True)
class Plan:
    """The stages that one `triptych repro` has to run."""

    order: list[str]
    """All stages of the pipeline in DVC's order."""
    waits: dict[str, list[str]]
    """Each stage to run, in DVC's order, and the other stages to run that it depends on."""


def default_workers(runtime: Runtime) -> int:
    """Return how many stages run at a time: one per group of GPUs, else as many as the cores allow.

    With a GPU that is not CUDA's, or that cannot be counted, one stage runs at a time.
    """
    groups = gpu_groups(runtime)
    if groups or runtime.device in ("cuda", "mps") or (runtime.device == "auto" and has_gpu_driver()):
        return max(1, len(groups))
    return max(1, available_cores() // (runtime.threads * runtime.processes))


def available_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def overload_warning(workers: int, threads: int) -> str:
    """Return a warning if parallel stages of so many threads need more than the cores, else an empty string."""
    if workers == 1 or workers * threads <= available_cores():
        return ""
    each = "one thread" if threads == 1 else f"{threads} threads"
    return (
        f"{workers} stages at a time, {each} each, share {available_cores()} cores: each stage takes longer than alone "
        "(results depend on the number of threads, so it stays the same)"
    )


def longest_first(waits: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> list[str]:
    """Return the stages sorted by the duration of the longest chain that starts with them, the longest first.

    A stage of unknown duration counts as one second. Stages of equal length keep their order.
    """
    remaining: dict[str, float] = {}
    for stage in reversed(waits):  # every stage stands after the stages that it waits for
        followers = [remaining[later] for later, earlier in waits.items() if stage in earlier]
        remaining[stage] = seconds.get(stage, 1.0) + max(followers, default=0.0)
    return sorted(waits, key=lambda stage: -remaining[stage])

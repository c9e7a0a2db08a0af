"""Reproducibility: random seeds, deterministic kernels, and the key of a checkpoint."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_json
from triptych.training.machine import describe_device, gpu_count, keep_freed_memory, kernel_facts, pick_device
from triptych.training.settings import Runtime

OUT_OF_MEMORY = re.compile("can't allocate memory|not enough memory")  # torch's messages about the host's memory


def run_key(device: torch.device, *parts: object) -> str:
    """Return the key of a checkpoint: a hash of the run's inputs `parts` and of the machine's facts.

    If several processes train one model, they find the checkpoint by the device of rank 0.
    """
    return sha256_of_json([*parts, kernel_facts(torch.device(device.type, 0))])[:16]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed for one purpose, so that random streams never overlap.

    >>> derive_seed(0, "order", 1) != derive_seed(0, "order", 2)
    True
    """
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU generator seeded for one purpose. Its numbers are the same for every device."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Seed torch's global generators for one purpose inside the block, and restore them afterwards."""
    with torch.random.fork_rng(devices=range(gpu_count())):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


@contextmanager
def deterministic(runtime: Runtime) -> Iterator[torch.device]:
    """Yield the device. Inside the block the thread count is fixed and only deterministic kernels run.

    Raises TriptychError if the machine lacks the device, or if its memory is too small.
    """
    device = pick_device(runtime.device)
    keep_freed_memory()
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    fills = torch.utils.deterministic.fill_uninitialized_memory
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(runtime.threads)
    torch.set_deterministic_debug_mode("error")  # like use_deterministic_algorithms, without importing the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs a tenth of the time
    try:
        yield device
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or OUT_OF_MEMORY.search(str(error)):
            raise TriptychError(
                f"the memory of {describe_device(device)} is not enough: lower batch_size or the widths of the "
                "model, or measure fewer images"
            ) from None
        raise
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)
        torch.utils.deterministic.fill_uninitialized_memory = fills

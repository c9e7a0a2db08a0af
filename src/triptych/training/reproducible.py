"""Devices, threads and seeds: what makes a run repeat itself bit for bit."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_json
from triptych.training.memory import keep_freed_memory
from triptych.training.processor import by_onednn

if TYPE_CHECKING:
    from triptych.training.settings import Runtime


NO_MEMORY = re.compile("can't allocate memory|not enough memory")  # what torch says of the host's


def pick_device(wanted: str) -> torch.device:
    """The device to run on; `auto` takes a CUDA GPU if there is one, else the CPU. Refuses one that is not there."""
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        return torch.device("cuda" if available["cuda"] else "cpu")
    if not available[wanted]:
        raise TriptychError(f"runtime.device is {wanted}, which this machine does not have: write auto or cpu")
    return torch.device(wanted)


def describe_device(device: torch.device) -> str:
    """The device in words."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def machine_facts(device: torch.device) -> dict[str, str | int]:
    """What the last digits of a result depend on besides its inputs: for the journal, and to tell checkpoints apart."""
    return {
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability() + (", oneDNN" if by_onednn() else ""),
        "torch": str(torch.__version__),
    }


def run_key(device: torch.device, *parts: object) -> str:
    """The key of a checkpoint: a hash of what the run is a function of (`parts`), and of what its digits depend on."""
    return sha256_of_json([*parts, machine_facts(device)])[:16]


def derive_seed(seed: int, *purpose: str | int) -> int:
    """A seed of its own for each purpose, so that streams never overlap."""
    digest = hashlib.sha256("/".join(map(str, (seed, *purpose))).encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A CPU generator seeded for one purpose: the same numbers on every device."""
    return torch.Generator().manual_seed(derive_seed(seed, *purpose))


@contextmanager
def seeded(seed: int, *purpose: str | int) -> Iterator[None]:
    """Run a block on torch's global generators, seeded for one purpose, and leave them as they were."""
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        torch.manual_seed(derive_seed(seed, *purpose))
        yield


@contextmanager
def deterministic(runtime: Runtime) -> Iterator[torch.device]:
    """Yield the device; inside, the thread count is fixed and only deterministic kernels run."""
    device = pick_device(runtime.device)
    keep_freed_memory()
    threads, mode = torch.get_num_threads(), torch.get_deterministic_debug_mode()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.set_num_threads(runtime.threads)
    torch.set_deterministic_debug_mode("error")  # as use_deterministic_algorithms, without importing the compiler
    torch.utils.deterministic.fill_uninitialized_memory = False  # a debugging aid that costs a tenth of the time
    try:
        yield device
    except (MemoryError, RuntimeError) as error:
        if isinstance(error, MemoryError | torch.OutOfMemoryError) or NO_MEMORY.search(str(error)):
            raise TriptychError(
                f"the memory of {describe_device(device)} is not enough: lower batch_size, or the widths of the model"
            ) from None
        raise
    finally:
        torch.set_num_threads(threads)
        torch.set_deterministic_debug_mode(mode)

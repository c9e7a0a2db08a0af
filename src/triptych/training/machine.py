"""The device, the processor and the memory allocator that a stage runs on."""

from __future__ import annotations

import ctypes
import platform
import re
import sys
from functools import cache
from pathlib import Path

import torch
from threadpoolctl import threadpool_info

from triptych.core.errors import TriptychError

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2  # parameters of glibc's mallopt
OF_PROCESSOR = re.compile(r"^(model name|cpu family|model)\s*: (.+)$", re.MULTILINE)  # in /proc/cpuinfo
BLAS_OF_TORCH = re.compile(r"BLAS_INFO=(\w+)")
LARGEST, HEADROOM = 1 << 30, 1 << 26  # bytes


def pick_device(wanted: str) -> torch.device:
    """Return the device to run on, such as `cpu` or `cuda:0`; `auto` is a CUDA GPU if there is one, else the CPU.

    Raises TriptychError if this machine lacks the device.
    """
    gpus = gpu_count()
    devices = {"cpu": 1, "cuda": gpus, "mps": int(torch.backends.mps.is_available())}
    if wanted == "auto":
        return torch.device("cuda" if gpus else "cpu")
    kind, _, number = (wanted if ":" in wanted else f"{wanted}:0").partition(":")
    if not number.isdecimal() or int(number) >= devices.get(kind, 0):
        raise TriptychError(f"the device is {wanted}, which this machine does not have: write auto or cpu")
    return torch.device(wanted)


def gpu_count() -> int:
    """Return the number of CUDA GPUs that can be used; `device_count` also counts those with too old a driver."""
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def describe_device(device: torch.device) -> str:
    """Return the name of the GPU, or the type of another device."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def machine_facts(device: torch.device) -> dict[str, str | int]:
    """Return the facts about the machine for the journal."""
    return {**kernel_facts(device), "processor": processor(), "blas": _blas()}


def kernel_facts(device: torch.device) -> dict[str, str | int]:
    """Return the facts that training depends on besides its inputs. A checkpoint belongs to one set of them."""
    return {
        "device": describe_device(device),
        "threads": torch.get_num_threads(),
        "instruction_set": torch.backends.cpu.get_cpu_capability() + (", oneDNN" if uses_onednn() else ""),
        "torch": str(torch.__version__),
    }


def processor() -> str:
    """Return the processor's name, family and model, such as "AMD EPYC, family 25, model 17".

    On rented machines, processors of several families often have the same name.
    """
    path = Path("/proc/cpuinfo")
    found = dict(OF_PROCESSOR.findall(path.read_text(encoding="utf-8"))) if path.exists() else {}
    if "model name" in found:  # not on ARM
        numbers = {"family": found.get("cpu family"), "model": found.get("model")}
        return ", ".join([found["model name"], *(f"{word} {number}" for word, number in numbers.items() if number)])
    return torch.cpu.get_capabilities().get("cpu_name") or platform.processor() or platform.machine()


def _blas() -> str:
    """Return PyTorch's library of matrix products, and NumPy's with the kernels that it chose for this processor."""
    by_torch = BLAS_OF_TORCH.search(torch.__config__.show())
    found = [f"PyTorch {by_torch[1]}"] if by_torch else []
    for library in threadpool_info():
        if library["user_api"] == "blas" and "numpy" in library["filepath"]:
            kernels = library.get("architecture", "")
            found.append(f"NumPy {library['internal_api']} {library['version']} {kernels}".rstrip())
    return ", ".join(dict.fromkeys(found))


@cache
def uses_onednn() -> bool:
    """Return whether large float32 matrix products go through oneDNN instead of MKL.

    On processors with AVX-512 that are not from Intel, oneDNN uses AVX-512 and MKL does not.
    """
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return "intel" not in str(torch.cpu.get_capabilities().get("cpu_name", "intel")).lower()


def keep_freed_memory() -> None:
    """Make glibc keep freed memory for the next allocation.

    By default glibc returns large blocks to the system at once, and every training step pays for fresh pages: a fifth
    of the time of a RealNVP. Other C libraries have no such option.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for parameter, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, LARGEST), (TOP_PAD, HEADROOM)):
            mallopt(parameter, value)

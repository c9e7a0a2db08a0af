"""Facts about the machine, and its two limits: the rate of matrix products and the rate of memory."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime

import torch

from harness import seconds
from triptych.models.common.linear import linear
from triptych.training.machine import processor, uses_onednn

SIDE = 2048  # of the matrices that are multiplied
COPIED = 1 << 26  # float32 numbers: 256 MiB, more than any cache


class Limits:
    """The rates of a large matrix product and of a large copy, both in float32; they are measured in each round."""

    def __init__(self) -> None:
        self.left, self.right, self.product = (torch.rand(SIDE, SIDE) for _ in range(3))
        self.none = torch.zeros(SIDE)
        self.source, self.target = torch.rand(COPIED), torch.empty(COPIED)
        self.flops()
        self.bytes()

    def flops(self, threads: int | None = None) -> float:
        """Return the floating point operations per second of a product of square matrices.

        The faster of PyTorch's and Triptych's product counts; a multiply-add counts as two operations.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(threads or before)
        ways = (
            lambda: torch.mm(self.left, self.right, out=self.product),
            lambda: linear(self.left, self.right, self.none),
        )
        with torch.no_grad():
            best = min(seconds(way) for way in ways for _ in range(2))
        torch.set_num_threads(before)
        return 2 * SIDE**3 / best

    def bytes(self) -> float:
        """Return the bytes per second that a copy reads and writes."""
        return 2 * 4 * COPIED / min(seconds(lambda: self.target.copy_(self.source)) for _ in range(2))


def multiplies_bf16() -> bool:
    """Return whether the processor has instructions for products of bfloat16."""
    return any(has for name, has in torch.cpu.get_capabilities().items() if name.endswith("_bf16"))


def facts(threads: int) -> dict[str, str | int]:
    """Return the facts that times depend on."""
    return {
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "instruction_set": torch.backends.cpu.get_cpu_capability() + (", oneDNN" if uses_onednn() else ""),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "threads": threads,
        **({"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}),
        "date": datetime.now(UTC).date().isoformat(),
    }

"""What the processor multiplies by."""

from __future__ import annotations

from functools import cache

import torch


@cache
def by_onednn() -> bool:
    """Whether large float32 products go through oneDNN: it uses AVX-512 where MKL does not, on what is not Intel's."""
    if not torch.backends.mkldnn.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    return "intel" not in str(torch.cpu.get_capabilities().get("cpu_name", "intel")).lower()

"""Memory that a process keeps for itself."""

from __future__ import annotations

import ctypes
import sys

MMAP_THRESHOLD, TRIM_THRESHOLD, TOP_PAD = -3, -1, -2  # of glibc's mallopt
LARGEST, HEADROOM = 1 << 30, 1 << 26  # bytes


def keep_freed_memory() -> None:
    """Have the C library keep what is freed, for the next step asks for the same blocks again.

    By default glibc gives large blocks back at once, and every step of training pays for fresh pages: a fifth of the
    time of a RealNVP. Other systems' C libraries have no such choice.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt:
        for choice, value in ((MMAP_THRESHOLD, LARGEST), (TRIM_THRESHOLD, LARGEST), (TOP_PAD, HEADROOM)):
            mallopt(choice, value)

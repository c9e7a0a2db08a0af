"""Find out which processes are alive, and end a process with its parent."""

from __future__ import annotations

import ctypes
import math
import os
import signal
import sys
import time
from threading import Thread

STAGE_VARIABLE = "DVC_STAGE"  # DVC sets it for the commands that it runs
PR_SET_PDEATHSIG = 1  # from Linux's prctl.h
CLOCK_ERROR = 2.0  # seconds: the system rounds the start times of processes
WATCH_SECONDS = 0.5  # between two looks at the parent where the system cannot report its end


def is_alive(pid: int, since: float = math.inf) -> bool:
    """Return whether this machine still runs the process that had this id at the time `since`, or at any time."""
    import psutil

    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() < since + CLOCK_ERROR
    except (psutil.NoSuchProcess, ValueError):  # ValueError: no process can have this id
        return False
    except psutil.AccessDenied:
        return True


def end_with_parent(parent: int) -> None:
    """Kill this process when its parent ends; exit at once if the parent has already ended.

    On Linux, the end of the parent's thread that started this process counts. Elsewhere, a thread looks at the parent.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    else:
        Thread(target=_watch, args=(parent,), daemon=True).start()
    if os.getppid() != parent:
        os._exit(1)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)

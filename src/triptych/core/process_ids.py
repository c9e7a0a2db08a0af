"""Find out which processes are alive and which process waits for this one, and end a process with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from pathlib import Path

COMMAND_VARIABLE = "TRIPTYCH_COMMAND"  # in a worker of the fork server, the process id of its command
PR_SET_PDEATHSIG = 1  # from Linux's prctl.h


def waiting_process() -> int:
    """Return the id of the process that waits for this one, or for the command whose work this process does.

    Return 0 if the command has ended.
    """
    command = os.environ.get(COMMAND_VARIABLE)
    if not command:
        return os.getppid()
    try:
        status = Path(f"/proc/{command}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    return int(status.rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Return whether this machine runs a process with this id."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def end_with_parent(parent: int) -> None:
    """Let the system kill this process when its parent ends; exit at once if the parent has already ended."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)

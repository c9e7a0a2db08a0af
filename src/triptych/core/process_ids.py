"""Which processes are alive, and which one waits for this one."""

from __future__ import annotations

import os
from pathlib import Path

COMMAND_VARIABLE = "TRIPTYCH_COMMAND"  # tells the worker of a warm start which process its command is


def waiting_process() -> int:
    """The process that waits for this one to end: of a warm start, the one that waits for its command."""
    command = os.environ.get(COMMAND_VARIABLE)
    if not command:
        return os.getppid()
    try:
        status = Path(f"/proc/{command}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return 0
    return int(status.rpartition(")")[2].split()[1])


def is_alive(pid: int) -> bool:
    """Whether this machine runs a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True

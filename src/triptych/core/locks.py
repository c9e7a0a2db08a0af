"""A lock file with the id of the process that holds it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from triptych.core.files import disk_errors

REMINDER = 60.0  # seconds between two messages about a lock that another process holds


@contextmanager
def locked(path: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock file `path`, and name this process in a `.pid` file beside it.

    If another process holds the lock, wait, and report by `say` that this process already runs `name`.
    """
    lock, pid_file, timeout = FileLock(path), path.with_suffix(".pid"), 0.0
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        while not lock.is_locked:
            try:
                lock.acquire(timeout=timeout)
            except Timeout:
                pid = "unknown"
                with suppress(FileNotFoundError):  # the other process has not written it yet, or has removed it
                    pid = pid_file.read_text(encoding="utf-8")
                say(f"{name} is already run by another process (pid {pid}): waiting until it ends")
                timeout = REMINDER
    try:
        with disk_errors(pid_file):
            pid_file.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        pid_file.unlink(missing_ok=True)
        path.unlink(missing_ok=True)  # filelock detects this in a waiting process, which then tries again
        lock.release()

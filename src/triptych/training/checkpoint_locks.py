"""Locks on checkpoint folders, and the removal of old folders."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from triptych.core.files import disk_errors, remove
from triptych.core.hashing import sha256_of_json
from triptych.core.process_ids import is_alive
from triptych.training import distributed
from triptych.training.checkpoint import INDEX, CheckpointFolder

KEPT_SECONDS = 30 * 24 * 3600.0  # how long the folder of another unfinished run is kept
REMINDER = 60.0  # seconds between two messages about a lock that another process holds


@contextmanager
def checkpoint_folder(
    root: Path, name: str, key: str, output: Path, say: Callable[[str], None]
) -> Iterator[CheckpointFolder]:
    """Yield the run's checkpoint folder `root/<name>@<key>`, locked for this process together with the run's `output`.

    If another process holds a lock, such as the same stage in a terminal, wait for it and report so by `say`.
    The folders of other unfinished runs are kept for a month, so that each of them can resume.

    The folder is removed if the block succeeds.

    If several processes train one model, rank 0 holds the locks for all of them.
    """
    folder = root / f"{name}@{key}"
    if distributed.rank():
        distributed.barrier()
        yield CheckpointFolder(folder)
        return
    with disk_errors(root):
        root.mkdir(parents=True, exist_ok=True)
        with _locked(output_lock(root, name, output), name, say), _locked(_folder_lock(folder), name, say):
            _remove_old_folders(root, folder)
            folder.mkdir(exist_ok=True)
            for draft in folder.glob(".*.part"):
                draft.unlink()
            distributed.barrier()
            yield CheckpointFolder(folder)
            _remove(folder)


def output_lock(root: Path, name: str, output: Path) -> Path:
    """Return the lock file of the process that writes `output`. It lies beside the checkpoint folders in `root`."""
    return root / f"{name}.{sha256_of_json(str(output.resolve()))[:16]}.lock"


def running_process(root: Path, name: str, output: Path) -> int | None:
    """Return the id of the process of this machine that writes `output`, or None."""
    try:
        pid = int(output_lock(root, name, output).with_suffix(".pid").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):  # none runs, or it has not written its id yet
        return None
    return pid if is_alive(pid) else None


def _folder_lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextmanager
def _locked(path: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    lock, pid_file, timeout = FileLock(path), path.with_suffix(".pid"), 0.0
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
        pid_file.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        pid_file.unlink(missing_ok=True)
        path.unlink(missing_ok=True)  # filelock detects this in a waiting process, which then tries again
        lock.release()


def _remove_old_folders(root: Path, own: Path) -> None:
    for folder in root.glob("*@*"):
        if folder != own and folder.is_dir() and time.time() - _time_of_change(folder) > KEPT_SECONDS:
            with suppress(Timeout, FileNotFoundError), FileLock(_folder_lock(folder), timeout=0):
                _remove(folder)
                _folder_lock(folder).unlink()


def _time_of_change(folder: Path) -> float:
    try:
        return folder.stat().st_mtime
    except FileNotFoundError:  # its process has just ended
        return math.inf


def _remove(folder: Path) -> None:
    """Remove the index first: without it, the rest of the folder is not taken for a checkpoint."""
    remove(folder / INDEX)
    shutil.rmtree(folder)

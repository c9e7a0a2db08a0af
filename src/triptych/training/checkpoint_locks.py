"""Locks on checkpoint folders, and the removal of old folders."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from triptych.core.files import disk_errors, remove
from triptych.core.locks import locked
from triptych.training import distributed
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.running import INDEX, output_lock

KEPT_SECONDS = 30 * 24 * 3600.0  # how long the folder of another unfinished run is kept


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
    with locked(output_lock(root, name, output), name, say), locked(_folder_lock(folder), name, say):
        with disk_errors(root):
            _remove_old_folders(root, folder)
            folder.mkdir(exist_ok=True)
            for draft in folder.glob(".*.part"):
                draft.unlink()
        distributed.barrier()
        yield CheckpointFolder(folder)
        with disk_errors(root):
            _remove(folder)


def _folder_lock(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


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

"""Checkpoints: a stopped run goes on where it was and ends with the bytes of an undisturbed one.

They live outside DVC's outputs, in a folder named by a key that covers settings, data and code, so that no other run
ever picks one up. Random numbers need no saving: every epoch, or chunk of iterations, seeds its own.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.documents import CheckpointIndex, read_document
from triptych.errors import TriptychError
from triptych.files import MOST_TEXT, atomic_file, disk_errors, read_bytes, sha256_of_file, write_json
from triptych.training.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

STATE, INDEX = "state.safetensors", "index.json"
KEPT = 3  # unfinished runs of one name, under other settings, that keep their checkpoints

STEPS = ("epoch", "iteration")  # what a row of a history stands for

History = list[dict[str, float]]


def snapshot_name(epoch: int) -> str:
    """The file of the snapshot after that epoch."""
    return f"epoch-{epoch:04d}.safetensors"


def step_name(row: Mapping[str, float]) -> str:
    """The column that counts the steps."""
    return next(name for name in STEPS if name in row)


@contextmanager
def _held(place: Path) -> Iterator[None]:
    """Hold a workplace by a lock beside it. Raises TriptychError, with the holder's pid, if it is held."""
    from filelock import FileLock, Timeout

    lock, owner = FileLock(f"{place}.lock"), Path(f"{place}.pid")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        pid = owner.read_text() if owner.exists() else "unknown"
        name = place.name.split("@")[0]
        raise TriptychError(f"{name} is in the hands of another process (pid {pid}): wait for it or stop it") from None
    try:
        owner.write_text(str(os.getpid()))
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.release()
        Path(f"{place}.lock").unlink(missing_ok=True)


def _remove_unheld(place: Path) -> None:
    with suppress(TriptychError), _held(place):
        shutil.rmtree(place)


@dataclass(frozen=True)
class Workplace:
    """The folder of one unfinished run: its last checkpoint and the snapshots taken so far."""

    folder: Path

    @classmethod
    @contextmanager
    def claim(cls, root: Path, name: str, key: str) -> Iterator[Workplace]:
        """Hold the workplace of this run for this process alone; it is removed when the block succeeds.

        Of other unfinished runs of the same name the newest few stay, so that going back to a setting goes on with it.
        Raises TriptychError if another process holds this workplace.
        """
        with disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            place = root / f"{name}@{key}"
            with _held(place):
                others = [other for other in root.glob(f"{name}@*") if other.is_dir() and other != place]
                for other in sorted(others, key=lambda path: path.stat().st_mtime)[: -KEPT or None]:
                    _remove_unheld(other)
                place.mkdir(exist_ok=True)
                yield cls(place)
                shutil.rmtree(place)

    def snapshot(self, epoch: int) -> Path:
        """Where the snapshot after that epoch stands."""
        return self.folder / snapshot_name(epoch)

    def save(self, step: int, tensors: dict[str, Tensor], history: History, seconds: float) -> None:
        """Replace the checkpoint, after so many steps (epochs or iterations) and seconds of training.

        The index, written last, names the state by its checksum: a torn pair shows.
        """
        state = self.folder / f"{step:06d}.{STATE}"
        save_tensors(state, tensors)
        write_json(
            self.folder / INDEX,
            {
                "step": step,
                "history": history,
                "seconds": seconds,
                "state": state.name,
                "sha256": sha256_of_file(state),
            },
        )
        for older in self.folder.glob(f"*.{STATE}"):
            if older != state:
                older.unlink()

    def load(self) -> tuple[int, dict[str, Tensor], History, float] | None:
        """Steps done, tensors, history and seconds of the last checkpoint, or None if there is none.

        Raises TriptychError if it is damaged.
        """
        index_path = self.folder / INDEX
        if not index_path.exists():
            return None
        index = read_document(index_path, CheckpointIndex)
        state = self.folder / index["state"]
        if not state.exists() or sha256_of_file(state) != index["sha256"]:
            raise TriptychError(f"the checkpoint {state} is damaged: delete {self.folder} to train from the start")
        return index["step"], load_tensors(state), index["history"], index["seconds"]


def write_history(path: Path, history: History) -> None:
    """Write the rows, the step first; a number not known in a row stays empty. Floats keep all their digits."""
    step = step_name(history[0])
    columns = [step, *dict.fromkeys(name for row in history for name in row if name != step)]
    lines = [",".join(columns)]
    lines += [",".join(json.dumps(row[name]) if name in row else "" for name in columns) for row in history]
    with atomic_file(path) as draft:
        draft.write_text("\n".join(lines) + "\n", encoding="utf-8")


def read_history(path: Path) -> History:
    """The rows of a history file, without the empty cells. Raises TriptychError if it is missing or damaged."""
    content = read_bytes(path, MOST_TEXT, "run the stage that makes it, `dvc repro` does")
    try:
        header, *lines = content.decode().splitlines()
        columns = header.split(",")
        if not lines or not {*columns} & {*STEPS}:
            raise ValueError("it has no rows that count epochs or iterations")
        rows = [dict(zip(columns, line.split(","), strict=True)) for line in lines]
        return [
            {name: int(cell) if name in STEPS else float(cell) for name, cell in row.items() if cell or name in STEPS}
            for row in rows
        ]
    except ValueError as error:
        raise TriptychError(f"{path} is damaged ({error}): delete it and run its stage again") from None

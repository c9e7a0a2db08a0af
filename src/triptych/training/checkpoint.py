"""Checkpoints: a stopped run goes on where it was and ends with the bytes of an undisturbed one.

They live outside DVC's outputs, in a folder named by a key that covers settings, data and code, so that no other run
ever picks one up. Random numbers need no saving: every epoch, or chunk of iterations, seeds its own.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, atomic_file, disk_errors, read_bytes, remove
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.core.json_schemas import CheckpointIndex, read_document
from triptych.core.process_ids import waiting_process
from triptych.training.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

STATE, INDEX = "state.safetensors", "index.json"
KEPT, KEPT_IN_ALL = 3, 30  # other unfinished runs that keep their checkpoints: of the same name, and of all names
REMINDER = 60.0  # seconds between two words about the process that is waited for

STEPS = ("epoch", "iteration")  # what a row of a history stands for

History = list[dict[str, float]]


def snapshot_name(epoch: int) -> str:
    """The file of the snapshot after that epoch."""
    return f"epoch-{epoch:04d}.safetensors"


def step_name(row: Mapping[str, float]) -> str:
    """The column that counts the steps."""
    return next(name for name in STEPS if name in row)


def output_lock(root: Path, name: str, output: Path) -> Path:
    """The lock of whoever writes these results, beside the checkpoints in `root`."""
    return root / f"{name}.{sha256_of_json(str(output.resolve()))[:16]}.lock"


@contextmanager
def _held(lock: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a lock; while another process has it, wait, and say for which."""
    from filelock import FileLock, Timeout

    holder, owner, patience = FileLock(lock), lock.with_suffix(".pid"), 0.0
    while not holder.is_locked:
        try:
            holder.acquire(timeout=patience)
        except Timeout:
            pid = owner.read_text(encoding="utf-8") if owner.exists() else "unknown"
            say(f"{name} is in the hands of another process (pid {pid}): waiting until it ends")
            patience = REMINDER
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        owner.unlink(missing_ok=True)
        lock.unlink(missing_ok=True)  # who waits for it notices, and tries again
        holder.release()


def _oldest(places: Iterable[Path], kept: int) -> list[Path]:
    """All but the `kept` that were changed last."""

    def changed(place: Path) -> float:
        try:
            return place.stat().st_mtime
        except FileNotFoundError:  # its process has just ended
            return math.inf

    return sorted((place for place in places if place.is_dir()), key=changed)[: -kept or None]


def _discard(place: Path) -> None:
    """Remove a workplace; its index goes first, so that no half of it is ever taken for a checkpoint."""
    remove(place / INDEX)
    shutil.rmtree(place)


def _lock_of(place: Path) -> Path:
    return place.with_name(f"{place.name}.lock")


def _remove_unheld(place: Path) -> None:
    from filelock import FileLock, Timeout

    with suppress(Timeout, FileNotFoundError), FileLock(_lock_of(place), timeout=0):
        _discard(place)
        _lock_of(place).unlink()


@dataclass(frozen=True)
class Workplace:
    """The folder of one unfinished run: its last checkpoint and the snapshots taken so far."""

    folder: Path
    parent: int
    """The process that waits for this run, and records what comes out."""

    @classmethod
    @contextmanager
    def claim(cls, root: Path, name: str, key: str, output: Path, say: Callable[[str], None]) -> Iterator[Workplace]:
        """Hold the workplace of this run, and where its results go, for this process alone.

        It waits for another process that has one of them, such as the stage that a killed DVC has left behind. The
        workplace is removed when the block succeeds.

        If by then nobody waits for the run any more (DVC was killed, say), it stays: nobody will record what came
        out, and the next process gets there from here. Of other unfinished runs the newest few stay, so that going
        back to a setting goes on with it.
        """
        with disk_errors(root):
            root.mkdir(parents=True, exist_ok=True)
            place = root / f"{name}@{key}"
            with _held(output_lock(root, name, output), name, say), _held(_lock_of(place), name, say):
                for pattern, kept in ((f"{name}@*", KEPT), ("*@*", KEPT_IN_ALL)):
                    for other in _oldest((other for other in root.glob(pattern) if other != place), kept):
                        _remove_unheld(other)
                place.mkdir(exist_ok=True)
                for draft in place.glob(".*.part"):
                    draft.unlink()
                workplace = cls(place, waiting_process())
                yield workplace
                if not workplace.orphaned:
                    _discard(place)

    @classmethod
    def of_the_first(cls, root: Path, name: str, key: str) -> Workplace:
        """The workplace of this run, which the first of the processes that share it holds for all."""
        return cls(root / f"{name}@{key}", waiting_process())

    @property
    def orphaned(self) -> bool:
        """Whether the process that started this one is gone."""
        return waiting_process() != self.parent

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

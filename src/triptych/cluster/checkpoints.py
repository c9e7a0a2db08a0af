"""Checkpoints on their way: pushed while their stage runs, so that another machine can go on from there."""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cluster.stages import workplace_of
from triptych.core.json_files import read_json
from triptych.core.messages import one_line, warn
from triptych.training.checkpoint import INDEX, STATE

if TYPE_CHECKING:
    from triptych.cluster.remote import Shelf
    from triptych.core.project import Project

SHELVED = "checkpoints"
PAUSE = 1.0  # seconds between two looks for a new checkpoint
LEAST_PRIORITY = 19
Seen = dict[str, tuple[int, int]]


def fetch_checkpoints(shelf: Shelf, project: Project, stage: str) -> list[str]:
    """Take over the checkpoints of this stage that another machine has pushed; return what they are called."""
    wanted = f"{SHELVED}/{workplace_of(stage)}@"
    names = [name for name in shelf.names(SHELVED) if name.startswith(wanted)]
    return [name for name in names if shelf.get(name, _folder(project) / name.removeprefix(f"{SHELVED}/"))]


class Courier(threading.Thread):
    """Pushes the checkpoints of one stage whenever there are new ones; a push that fails is tried again."""

    def __init__(self, shelf: Shelf, project: Project, stage: str) -> None:
        super().__init__(name="courier", daemon=True)
        self.shelf, self.project, self.pattern = shelf, project, f"{workplace_of(stage)}@*"
        self.pushed: dict[str, Seen] = {}
        self.over = threading.Event()

    def run(self) -> None:
        if sys.platform == "linux":  # there a thread has a priority of its own: the stage goes first
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), LEAST_PRIORITY)
        while not self.over.wait(PAUSE):
            self._push()
        self._push()

    def finish(self) -> None:
        """Push what is new, and end."""
        self.over.set()
        self.join()

    def forget(self) -> None:
        """Remove from the remote the checkpoints that the stage, once it was through, has removed here."""
        for name in self.shelf.names(SHELVED):
            place = _folder(self.project) / name.removeprefix(f"{SHELVED}/")
            if place.match(self.pattern) and not place.exists():
                self.shelf.drop(name)

    def _push(self) -> None:
        for place in filter(Path.is_dir, _folder(self.project).glob(self.pattern)):
            seen = _seen(place)
            if not seen or self.pushed.get(place.name) == seen:
                continue
            try:
                with _still(place, self.project.private / "sent" / place.name) as copy:
                    self.shelf.put(copy, f"{SHELVED}/{place.name}")
                self.pushed[place.name] = seen
            except FileNotFoundError:  # there is a newer one already, or the stage is through
                continue
            except Exception as error:  # whatever a remote raises: it costs a checkpoint, never the stage
                warn(f"the checkpoint {place.name} is not pushed ({one_line(error)})")


@contextmanager
def _still(place: Path, copy: Path) -> Iterator[Path]:
    """A copy of a checkpoint that stands still: links to its files, which are replaced and never changed.

    Raises FileNotFoundError if it has just been replaced.
    """
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir(parents=True)
    try:
        if (place / INDEX).exists():
            os.link(place / INDEX, copy / INDEX)
            state = read_json(copy / INDEX)["state"]
            os.link(place / state, copy / state)
        for path in _others(place):
            os.link(path, copy / path.name)
        yield copy
    finally:
        shutil.rmtree(copy)


def _others(place: Path) -> Iterator[Path]:
    """What a workplace holds beside index and state: snapshots of a training, pieces of an evaluation."""
    return (
        path
        for path in place.iterdir()
        if path.is_file() and path.name != INDEX and not path.name.startswith(".") and not path.name.endswith(STATE)
    )


def _seen(place: Path) -> Seen:
    found = {}
    with suppress(FileNotFoundError):
        for path in (place / INDEX, *_others(place)):
            with suppress(FileNotFoundError):
                status = path.stat()
                found[path.name] = (status.st_mtime_ns, status.st_size)
    return found


def _folder(project: Project) -> Path:
    return project.private / "checkpoints"

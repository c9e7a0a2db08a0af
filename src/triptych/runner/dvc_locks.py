"""Wait until no other DVC process works in the project, and remove what killed processes have left in `rwlock`.

Each DVC process notes in this file which files it reads and writes. A killed process leaves its entries there, or half
a file. DVC then refuses to run stages: it cannot read the file, or another process has got the same id.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from triptych.core.process_ids import is_alive

NOTES, GUARD = "rwlock", "rwlock.lock"  # DVC edits the first file while it holds a lock on the second one
SILENT_SECONDS = 2.0  # a process that is being killed ends sooner
WAIT_SECONDS = 0.1


def wait_for_other_dvc(root: Path, say: Callable[[str], None] = print) -> None:
    """Wait until no running DVC process has entries in `rwlock`; report by `say` for which processes."""
    began, said = time.monotonic(), set()
    while running := _running_processes(root / ".dvc" / "tmp"):
        if time.monotonic() - began > SILENT_SECONDS:
            for process in sorted(running - said):
                say(f"waiting for another DVC process, {process}; if this is no DVC process, delete .dvc/tmp/rwlock")
            said |= running
        time.sleep(WAIT_SECONDS)


def _running_processes(folder: Path) -> set[str]:
    """Return the running processes that have entries in `rwlock`; remove the file if there are none."""
    notes = folder / NOTES
    if not notes.exists():
        return set()
    with (folder / GUARD).open("a") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not notes.exists():  # another command has removed it
            return set()
        changed = notes.stat().st_mtime
        found = {(info["pid"], info["cmd"]) for info in _entries(notes)}
        running = {
            f"process {pid}: {command}" for pid, command in found if pid != os.getpid() and is_alive(pid, changed)
        }
        if not running:
            notes.unlink()
    return running


def _entries(notes: Path) -> Iterator[dict[str, Any]]:
    """Yield the entries; none if a process was killed while it wrote the file."""
    try:
        locks = json.loads(notes.read_text(encoding="utf-8"))
    except ValueError:
        return
    yield from locks.get("write", {}).values()
    for infos in locks.get("read", {}).values():
        yield from infos

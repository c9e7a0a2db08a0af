"""The lock file of the process that writes an output, by which other processes find it. Imports no PyTorch."""

from __future__ import annotations

from pathlib import Path

from triptych.core.hashing import sha256_of_json
from triptych.core.process_ids import is_alive

INDEX = "index.json"  # of the last checkpoint, in a checkpoint folder


def output_lock(root: Path, name: str, output: Path) -> Path:
    """Return the lock file of the process that writes `output`. It lies beside the checkpoint folders in `root`."""
    return root / f"{name}.{sha256_of_json(str(output.resolve()))[:16]}.lock"


def running_process(root: Path, name: str, output: Path) -> int | None:
    """Return the id of the process of this machine that writes `output`, or None."""
    path = output_lock(root, name, output).with_suffix(".pid")
    try:
        pid, written = int(path.read_text(encoding="utf-8")), path.stat().st_mtime
    except (FileNotFoundError, ValueError):  # none runs, or it has not written its id yet
        return None
    return pid if is_alive(pid, written) else None

"""The journal: what is not a function of the inputs, one small JSON file a stage execution."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json, write_json

if TYPE_CHECKING:
    from triptych.core.project import Project


EXPERIMENT_VARIABLE = "DVC_EXP_NAME"  # DVC sets it for what `dvc exp run` and its queue run


@dataclass
class Execution:
    """One run of one stage, from its start to its entry in the journal."""

    project: Project
    stage: str
    name: str
    began: float = field(default_factory=time.monotonic)
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        commit, dirty = self.project.commit()
        self.facts |= {
            "stage": self.stage,
            "name": self.name,
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "git_commit": commit,
            "git_dirty": dirty,
            "machine": f"{platform.node()}, {platform.system()} {platform.machine()}",
            "python": platform.python_version(),
        }
        if experiment := os.environ.get(EXPERIMENT_VARIABLE):
            self.facts["dvc_exp"] = experiment

    def write(self, result: Path) -> None:
        """Enter the execution under a hash of what came out: who holds a result finds the execution that made it."""
        self.facts["seconds"] = round(time.monotonic() - self.began, 2)
        write_json(entry_path(self.project, self.stage, self.name, sha256_of_file(result)), self.facts)


def entry_path(project: Project, stage: str, name: str, key: str) -> Path:
    """Where the journal keeps the execution of this stage that gave this result."""
    return project.private / "journal" / f"{stage}@{name}" / f"{key[:16]}.json"


def look_up(project: Project, stage: str, name: str, result: Path) -> dict[str, Any]:
    """The journal's facts of the execution that wrote the file `result`; empty where it knows none."""
    if not result.exists():
        return {}
    path = entry_path(project, stage, name, sha256_of_file(result))
    return read_json(path) if path.exists() else {}

"""The journal: what is not a function of the inputs, one small JSON file a stage execution."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.files import read_json, write_json

if TYPE_CHECKING:
    from triptych.project import Project


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

    def write(self, key: str) -> None:
        """Enter the execution under the hash of what went in; a later one of the same inputs replaces it."""
        self.facts["seconds"] = round(time.monotonic() - self.began, 2)
        write_json(entry_path(self.project, self.stage, self.name, key), self.facts)


def entry_path(project: Project, stage: str, name: str, key: str) -> Path:
    """Where the journal keeps this stage's execution on these inputs."""
    return project.private / "journal" / f"{stage}@{name}" / f"{key[:16]}.json"


def look_up(project: Project, stage: str, name: str, key: str) -> dict[str, Any]:
    """The journal's facts of this execution; empty where it knows none."""
    path = entry_path(project, stage, name, key)
    return read_json(path) if path.exists() else {}

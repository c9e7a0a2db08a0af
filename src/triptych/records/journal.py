"""The journal: one small JSON file per stage execution, for facts that are not a function of the inputs.

The file is `.triptych/journal/<stage>@<name>/<hash of the result>.json`: the content of a result leads to its facts.
"""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json, write_json
from triptych.core.process_ids import STAGE_VARIABLE
from triptych.repository.project import Project

VARIABLES = {"dvc_stage": STAGE_VARIABLE, "dvc_exp": "DVC_EXP_NAME"}  # by fact, those that DVC sets


@dataclass
class Execution:
    """Collect the facts of one stage execution, then write them into the journal."""

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
        for fact, variable in VARIABLES.items():
            if variable in os.environ:
                self.facts[fact] = os.environ[variable]

    def write(self, result: Path) -> None:
        """Write the facts into the journal under the hash of the file `result`, which this execution wrote."""
        self.facts["seconds"] = round(time.monotonic() - self.began, 2)
        write_json(_entry_path(self.project, self.stage, self.name, result), self.facts)


def look_up(project: Project, stage: str, name: str, result: Path) -> dict[str, Any]:
    """Return the facts of the stage execution that wrote the file `result`; empty if they are not recorded."""
    if not result.exists():
        return {}
    path = _entry_path(project, stage, name, result)
    try:
        return read_json(path) if path.exists() else {}
    except TriptychError:
        raise TriptychError(f"{path} is damaged: delete it; it only has the time and the machine of a run") from None


def _entry_path(project: Project, stage: str, name: str, result: Path) -> Path:
    return project.private / "journal" / f"{stage}@{name}" / f"{sha256_of_file(result)[:16]}.json"

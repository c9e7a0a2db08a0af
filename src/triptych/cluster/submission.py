"""Submissions: one folder `.triptych/cluster/<time>-<random>/` for each call of `triptych submit`.

| entry | content |
| --- | --- |
| `submission.json` | the commit, and the SLURM job number and the stages of each job |
| `params.yaml`, `dvc.lock` | copies from the time of the submission |
| `jobs/` | submitit's files, and the output of each job |
| `results/<stage>/` | the part of a finished stage that DVC's cache does not hold, see `results.py` |
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from triptych.core.files import copy_file
from triptych.core.json_files import read_json, write_json
from triptych.repository.lock_file import LOCK
from triptych.repository.project import Project
from triptych.settings.params import Settings

SETTINGS = ("params.yaml", LOCK)  # a job takes these from the submission: they need not be committed
SHARED = "shared.stages"  # the job for stages that other jobs need; no experiment has a dot in its name
FOLDER, INDEX = "cluster", "submission.json"


@dataclass(frozen=True)
class Submission:
    """The jobs of one call of `triptych submit`. A job is named after its experiment or study, or SHARED."""

    folder: Path

    @classmethod
    def create(cls, project: Project) -> Submission:
        """Create the folder of a new submission, with copies of the settings and the lock file."""
        place = project.private / FOLDER
        place.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-", dir=place))
        copy_settings(project.root, folder)
        return cls(folder)

    def write(self, commit: str, jobs: Mapping[str, str], stages: Mapping[str, Sequence[str]]) -> None:
        """Write `submission.json`."""
        write_json(self.folder / INDEX, {"commit": commit, "jobs": dict(jobs), "stages": dict(stages)})

    @cached_property
    def _index(self) -> dict[str, Any]:
        return read_json(self.folder / INDEX, f"delete {self.folder} and submit again")

    @property
    def jobs(self) -> dict[str, str]:
        """SLURM's number of each job."""
        return self._index["jobs"]

    @property
    def submitit_folder(self) -> Path:
        """The folder with submitit's files and the output of the jobs."""
        return self.folder / "jobs"

    def log(self, job: str) -> Path:
        """Return the file with the error output of a job."""
        return self.submitit_folder / f"{self.jobs[job]}_0_log.err"

    def result(self, stage: str) -> Path:
        """Return the folder for the result of a stage. It exists once the stage has finished."""
        return self.folder / "results" / stage

    def is_finished(self, job: str) -> bool:
        """Return whether a job has finished all of its stages."""
        return all(self.result(stage).exists() for stage in self._index["stages"][job])

    def checkpoints(self, job: str) -> Path:
        """Return the folder for the checkpoints of a job. A later submission of the job continues from them."""
        return self.folder.parent / "checkpoints" / job


def submissions(project: Project) -> list[Submission]:
    """Return all submissions of this project, the oldest first."""
    return [Submission(path.parent) for path in sorted((project.private / FOLDER).glob(f"*/{INDEX}"))]


def copy_settings(source: Path, target: Path) -> None:
    """Copy the settings and the lock file, if they exist, from one folder to another."""
    for name in SETTINGS:
        if (source / name).exists():
            copy_file(source / name, target / name)


def stages_of(settings: Settings, name: str) -> list[str]:
    """Return the stages of an experiment or a study, in order. Raises TriptychError if there is no such name."""
    if name in settings.studies:
        return [f"study@{name}"]
    settings.entry(name)
    return [f"train@{name}", f"evaluate@{name}"]

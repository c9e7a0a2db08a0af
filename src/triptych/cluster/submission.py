"""Submissions: one folder `.triptych/cluster/<time>-<random>/` for each call of `triptych submit`.

| entry | content |
| --- | --- |
| `submission.json` | the commit, and the SLURM job number and the stages of each job |
| `params.yaml`, `dvc.lock` | copies from the time of the submission |
| `jobs/` | submitit's files, and the output of each job |
| `results/<stage>/` | the part of a finished stage that DVC's cache does not hold, see `results.py` |

The checkpoints of all submissions are in `.triptych/cluster/checkpoints/<job>/`, so that a job which you submit again
continues from the checkpoint of the earlier one.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.files import copy_file
from triptych.core.json_files import read_json, write_json

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings

LOCK = "dvc.lock"
SETTINGS = ("params.yaml", LOCK)  # a job takes these from the submission: they need not be committed
SHARED = "shared.stages"  # the job for stages that several others need; no experiment has a dot in its name
SUBMISSION = "submission.json"


@dataclass(frozen=True)
class Submission:
    """The jobs of one call of `triptych submit`."""

    folder: Path
    jobs: Mapping[str, str]
    """SLURM's job number by the name of the job: an experiment, a study, or SHARED."""
    stages: Mapping[str, Sequence[str]]
    """The stages that each job runs, by the name of the job."""

    @property
    def submitit_folder(self) -> Path:
        """The folder with submitit's files and the output of the jobs."""
        return submitit_folder(self.folder)

    def log(self, name: str) -> Path:
        """Return the file with the error output of a job."""
        return self.submitit_folder / f"{self.jobs[name]}_0_log.err"

    def is_finished(self, name: str) -> bool:
        """Return whether a job has run all of its stages."""
        return all(result_folder(self.folder, stage).exists() for stage in self.stages[name])


def stages_of(settings: Settings, name: str) -> list[str]:
    """Return the stages of an experiment or a study, in order. Raises TriptychError if there is no such name."""
    if name in settings.studies:
        return [f"study@{name}"]
    settings.experiment(name)
    return [f"train@{name}", f"evaluate@{name}"]


def submissions(project: Project) -> Iterator[Submission]:
    """Yield all submissions of this project, the oldest first."""
    for path in sorted(_cluster_folder(project).glob(f"*/{SUBMISSION}")):
        content = read_json(path)
        yield Submission(path.parent, content["jobs"], content["stages"])


def new_submission_folder(project: Project) -> Path:
    """Create the folder of a new submission, with copies of the settings and the lock file."""
    place = _cluster_folder(project)
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-", dir=place))
    copy_settings(project.root, folder)
    return folder


def write_submission(
    folder: Path, commit: str, jobs: Mapping[str, str], stages: Mapping[str, Sequence[str]]
) -> Submission:
    """Write `submission.json` and return the submission."""
    write_json(folder / SUBMISSION, {"commit": commit, "jobs": dict(jobs), "stages": dict(stages)})
    return Submission(folder, jobs, stages)


def copy_settings(source: Path, target: Path) -> None:
    """Copy settings and lock file, if they exist, from one folder to another."""
    for name in SETTINGS:
        if (source / name).exists():
            copy_file(source / name, target / name)


def submitit_folder(submission: Path) -> Path:
    """Return the folder of a submission in which submitit keeps its files."""
    return submission / "jobs"


def result_folder(submission: Path, stage: str) -> Path:
    """Return the folder of a submission for the result of a stage. It exists once the stage has finished."""
    return submission / "results" / stage


def checkpoint_folder(submission: Path, job: str) -> Path:
    """Return the folder for the checkpoints of a job, the same one in every submission."""
    return submission.parent / "checkpoints" / job


def _cluster_folder(project: Project) -> Path:
    return project.private / "cluster"

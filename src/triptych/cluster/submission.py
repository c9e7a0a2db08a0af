"""What was submitted: a folder `.triptych/cluster/<time>-<word>/` with `submission.json` and submitit's files."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.json_files import read_json, write_json

if TYPE_CHECKING:
    from triptych.core.project import Project

SHARED = "shared"  # the job that makes what the others build on
FILE = "submission.json"


@dataclass(frozen=True)
class Submission:
    """Jobs that were submitted together."""

    folder: Path
    jobs: Mapping[str, str]
    """The number of each job by its name: that of an experiment or a study, or SHARED."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def logs(self) -> Path:
        """Where submitit has its files, and what the jobs say."""
        return logs_in(self.folder)

    def log(self, name: str) -> Path:
        """What a job has said of its troubles."""
        return self.logs / f"{self.jobs[name]}_0_log.err"


def logs_in(folder: Path) -> Path:
    """Where in a submission's folder submitit's files are."""
    return folder / "jobs"


def new_folder(project: Project) -> Path:
    """A folder for a submission of now."""
    place = project.private / "cluster"
    place.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=f"{datetime.now(UTC):%Y%m%d-%H%M%S}-", dir=place))


def keep(folder: Path, jobs: Mapping[str, str], commit: str) -> Submission:
    """Remember what has been submitted."""
    write_json(folder / FILE, {"commit": commit, "jobs": dict(jobs)})
    return Submission(folder, jobs)


def submissions(project: Project) -> Iterator[Submission]:
    """All that this project has submitted, the oldest first."""
    for path in sorted((project.private / "cluster").glob(f"*/{FILE}")):
        yield Submission(path.parent, read_json(path)["jobs"])

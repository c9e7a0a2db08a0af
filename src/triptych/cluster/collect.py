"""`triptych collect`: home comes what the jobs have made, and is looked through by DVC; nothing is made here."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from getpass import getuser
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cluster.job import done_of, journal_of, settings_of
from triptych.cluster.remote import Shelf, remote_errors
from triptych.cluster.stages import is_current, open_repo, restore, stages_of
from triptych.cluster.submission import SHARED, Submission, submissions
from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, copy_file
from triptych.core.lock_file import HEAD, entry_in, with_entry
from triptych.core.messages import warn
from triptych.runner import parallel
from triptych.runner.dvc import run_dvc
from triptych.runner.schedule import Plan

if TYPE_CHECKING:
    from dvc.repo import Repo

    from triptych.core.project import Project
    from triptych.settings.params import Settings

LOCK, REPORT = "dvc.lock", "report"
STATES = {"PENDING": "waiting", "REQUEUED": "waiting", "REQUEUE_HOLD": "waiting", "SUSPENDED": "waiting"}
RUNNING, OTHERWISE = "running", "made, but of other settings or code than are here now"


@dataclass(frozen=True)
class Collected:
    """What came home, and where the rest is."""

    home: list[str]
    """Experiments and studies that were submitted and are in place."""
    elsewhere: dict[str, str] = field(default_factory=dict)
    """Of the others, by name: waiting, running, or how they ended."""
    missing: list[str] = field(default_factory=list)
    """Stages, for whatever reason not up to date here, that the report waits for."""


def collect(project: Project, settings: Settings) -> Collected:
    """Take what is ready from the remote into the project. Raises TriptychError if nothing was ever submitted."""
    found = list(submissions(project))
    if not found:
        raise TriptychError("nothing was submitted from here: `triptych submit` does")
    queue = in_queue()  # first: what has ended since is found in the remote
    plan = parallel.begin_planning(project)()
    if plan is None:
        raise TriptychError("DVC cannot read the pipeline: `dvc repro --dry` says why")
    with remote_errors(), open_repo(project) as repo:
        shelf = Shelf.of(repo)
    with remote_errors():
        for submission in found:
            _take_journal(project, shelf, submission)
        missing = _take_results(project, shelf, found, plan)
    if missing == [REPORT]:
        if run_dvc(project, "--wait-for-lock", "repro", "--quiet", "--single-item", REPORT):
            raise TriptychError("all is home, but the report fails: `triptych repro` says why")
        missing = []
    done = {
        submission.jobs[job]
        for submission in found
        for job in submission.jobs
        if shelf.index(done_of(submission.name, job))
    }
    return _summary(settings, found, missing, queue, done)


def in_queue() -> dict[str, str]:
    """What SLURM says of each of the user's jobs that have not ended; nothing where it does not answer."""
    command = ["squeue", "--noheader", "--array", f"--user={getuser()}", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (our own words)
    except (FileNotFoundError, subprocess.CalledProcessError):
        warn("SLURM does not answer here: what is not in the remote may be waiting, running or lost")
        return {}
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


def _take_journal(project: Project, shelf: Shelf, submission: Submission) -> None:
    """What the jobs have entered, added to our own."""
    for job in submission.jobs:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder) / "journal"
            if shelf.get(journal_of(submission.name, job), place):
                for path in place.rglob("*.json"):
                    copy_file(path, project.private / "journal" / path.relative_to(place))


def _take_results(project: Project, shelf: Shelf, found: Sequence[Submission], plan: Plan) -> list[str]:
    """Bring home every stage that can be; return those that are still not up to date."""
    locks = [_lock_of(shelf, submission) for submission in reversed(found)]
    missing: list[str] = []
    with open_repo(project) as repo:
        for stage in (name for name in plan.order if name in plan.waits):
            ready = set(plan.waits[stage]).isdisjoint(missing)
            if not (ready and (restore(repo, stage, plan.order) or _adopt(repo, stage, plan.order, locks))):
                missing.append(stage)
    return missing


def _lock_of(shelf: Shelf, submission: Submission) -> str:
    """What `dvc.lock` was to the jobs, with what their first one has made."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "settings"
        whole = shelf.get(settings_of(submission.name), place)
        return (place / LOCK).read_text(encoding="utf-8") if whole and (place / LOCK).exists() else ""


def _adopt(repo: Repo, stage: str, order: Sequence[str], locks: Sequence[str]) -> bool:
    """Take a stage whose runs DVC does not remember, a fetch, as a first job has recorded it, if that fits."""
    if not any(out.persist for out in repo.stage.load_one(name=stage).outs):
        return False
    lock = Path(repo.root_dir) / LOCK
    before = lock.read_text(encoding="utf-8") if lock.exists() else HEAD
    for text in locks:
        entry = entry_in(text, stage)
        adopted = entry and with_entry(before, entry, order)
        if not adopted:
            continue
        _write(lock, adopted)
        if is_current(repo, stage, without_data=True) and restore(repo, stage, order):
            return True
        _write(lock, before)
    return False


def _write(lock: Path, text: str) -> None:
    with atomic_file(lock) as draft:
        draft.write_text(text, encoding="utf-8")


def _summary(
    settings: Settings,
    found: Sequence[Submission],
    missing: Sequence[str],
    queue: Mapping[str, str],
    done: Set[str],
) -> Collected:
    latest = {name: submission for submission in found for name in submission.jobs}
    wanted = {name: stages_of(settings, name) for name in latest if name in settings.measured}
    home = [name for name, stages in wanted.items() if set(stages).isdisjoint(missing)]
    elsewhere = {
        name: _state(submission, name, queue, done)
        for name, submission in latest.items()
        if name not in home and not (name == SHARED and submission.jobs[name] in done)
    }
    return Collected(home, elsewhere, list(missing))


def _state(submission: Submission, name: str, queue: Mapping[str, str], done: Set[str]) -> str:
    number = submission.jobs[name]
    if number in queue:
        return STATES.get(queue[number], RUNNING)
    return OTHERWISE if number in done else f"ended, see {submission.log(name)}"

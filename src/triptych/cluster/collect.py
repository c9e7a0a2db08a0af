"""`triptych collect`: take the results of the jobs into the project, and report the state of the other jobs."""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from getpass import getuser

from triptych.cluster.results import take_results
from triptych.cluster.submission import SHARED, Submission, stages_of, submissions
from triptych.core.errors import TriptychError
from triptych.core.messages import warn
from triptych.repository.project import Project
from triptych.runner import parallel
from triptych.runner.dvc import run_dvc
from triptych.runner.dvc_locks import wait_for_other_dvc
from triptych.settings.params import Settings

REPORT = "report"
WAITING_STATES = ("PENDING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED")  # SLURM's names
OUTDATED = "finished, but with other settings or code than the project has now"


@dataclass(frozen=True)
class Collected:
    """The results that are in the project, and the state of the others."""

    collected: list[str]
    """Submitted experiments and studies whose results are in the project and up to date."""
    states: dict[str, str]
    """The state of each other job, by its name."""
    missing: list[str]
    """Stages of the pipeline that are not up to date in the project, submitted or not."""


def collect(project: Project, settings: Settings) -> Collected:
    """Take finished results into the project; no model is trained. Raises TriptychError if nothing was submitted."""
    found = submissions(project)
    if not found:
        raise TriptychError("nothing was submitted from this project: run `triptych submit` first")
    queue = in_queue()  # before the results are read, so that a job which ends now is not reported as failed
    wait_for_other_dvc(project.root)
    plan = parallel.begin_planning(project)()
    missing = [stage for stage in plan.order if stage in plan.waits]
    for submission in reversed(found):
        missing = take_results(project, submission, missing, plan.order)
    if missing == [REPORT]:
        if run_dvc(project, "--wait-for-lock", "repro", "--quiet", "--single-item", REPORT):
            raise TriptychError("all results are collected, but the report fails: `triptych repro` says why")
        missing = []
    return _summary(settings, found, missing, queue)


def in_queue() -> dict[str, str]:
    """Return SLURM's state of each of the user's jobs that have not ended; nothing if SLURM does not answer."""
    command = ["squeue", "--noheader", "--array", f"--user={getuser()}", "--format=%i %T"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)  # noqa: S603 (a fixed command)
    except (FileNotFoundError, subprocess.CalledProcessError):
        warn("SLURM does not answer here: jobs that are reported as ended may be waiting or running")
        return {}
    return dict(line.split(maxsplit=1) for line in done.stdout.splitlines())


def _summary(
    settings: Settings, found: Sequence[Submission], missing: Sequence[str], queue: Mapping[str, str]
) -> Collected:
    latest = {name: submission for submission in found for name in submission.jobs}
    known = [name for name in latest if name in settings.experiments or name in settings.studies]
    collected = [name for name in known if set(stages_of(settings, name)).isdisjoint(missing)]
    states = {name: _state(submission, name, queue) for name, submission in latest.items() if name not in collected}
    if states.get(SHARED) == OUTDATED:  # its results are inputs of other jobs, which have a state of their own
        del states[SHARED]
    return Collected(collected, states, list(missing))


def _state(submission: Submission, name: str, queue: Mapping[str, str]) -> str:
    number = submission.jobs[name]
    if number in queue:
        return "waiting" if queue[number] in WAITING_STATES else "running"
    return OUTDATED if submission.is_finished(name) else f"ended without a result, see {submission.log(name)}"

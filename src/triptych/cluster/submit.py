"""`triptych submit`: jobs for SLURM, one for what all share, then one for each experiment and study."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from triptych.cluster.job import Job, copy_settings, settings_of
from triptych.cluster.remote import Shelf, remote_errors
from triptych.cluster.stages import above, open_repo, send, stages_of
from triptych.cluster.submission import SHARED, Submission, keep, logs_in, new_folder
from triptych.core.errors import TriptychError
from triptych.records.mlflow.store import brief
from triptych.runner import parallel
from triptych.runner.repro import stale_sources

if TYPE_CHECKING:
    from submitit import Executor

    from triptych.core.project import Project
    from triptych.settings.params import Settings

TRAVELS = (":!params.yaml", ":!dvc.lock", ":!metrics", ":!plots")  # by DVC or with the submission
CODE = "src"
TIMEOUTS = 1000  # a job that has run out of time goes on in the queue, so often
NOTICE = 120  # seconds before its time is over in which a job is told


@dataclass(frozen=True)
class Wish:
    """What the jobs are to have."""

    minutes: int
    cores: int
    at_a_time: int
    slurm: Mapping[str, str]
    """Any further options of `sbatch`, by their long names."""

    def executor(self, folder: Path) -> Executor:
        """The way to SLURM, with submitit's files in `folder`."""
        from submitit import SlurmExecutor

        executor = SlurmExecutor(folder, max_num_timeout=TIMEOUTS)
        executor.update_parameters(
            job_name="triptych",
            time=self.minutes,
            cpus_per_task=self.cores,
            array_parallelism=self.at_a_time,
            signal_delay_s=NOTICE,
            additional_parameters={"requeue": True, **self.slurm},
        )
        return executor


def refuse_without_slurm() -> None:
    """Raises TriptychError on a machine that is no part of a SLURM cluster."""
    if not all(map(which, ("sbatch", "srun"))):
        raise TriptychError("there is no SLURM here (no sbatch): run this on a node from which jobs are submitted")


def submit(project: Project, settings: Settings, names: Sequence[str], wish: Wish, scratch: Path | None) -> Submission:
    """Submit the named experiments and studies with all their seeds, or all, that are not up to date.

    Raises TriptychError where jobs could not run.
    """
    commit = _committed(project)
    groups = settings.seed_groups()
    chosen = (each for name in names or groups for each in groups.get(name, [name]))
    jobs = {name: stages_of(settings, name) for name in chosen}
    stale = stale_sources(project, settings)
    if stale:
        fetches = " ".join(f"fetch@{name}" for name in stale)
        raise TriptychError(f"the images have changed: run `triptych repro {fetches}` first")
    with remote_errors(), open_repo(project) as repo:
        shelf = Shelf.of(repo)
    plan = parallel.begin_look(project)()
    if plan is None:
        raise TriptychError("DVC cannot read the pipeline: `dvc repro --dry` says why")
    jobs = {name: stages for name, stages in jobs.items() if any(stage in plan.waits for stage in stages)}
    if not jobs:
        raise TriptychError("there is nothing to submit: all of it is up to date")
    targets = [stage for stages in jobs.values() for stage in stages]
    with remote_errors(), open_repo(project) as repo:
        shared = above(repo, plan.order, targets)
        for stage in (*shared, *targets):
            if stage not in plan.waits:
                send(repo, stage)
    folder = new_folder(project)
    with tempfile.TemporaryDirectory() as place:
        copy_settings(project.root, Path(place))
        shelf.put(Path(place), settings_of(folder.name))
    common = Job(project.root, commit, folder.name, SHARED, [s for s in shared if s in plan.waits], plan.order, scratch)
    return keep(folder, _queue(wish.executor(logs_in(folder)), common, jobs), commit)


def _committed(project: Project) -> str:
    """The commit that the jobs are to check out. Raises TriptychError if something would not be in it."""
    commit, _ = project.commit()
    if commit == "none":
        raise TriptychError("the jobs check out a commit, and this is no git repository with one: commit the project")
    changed = [*project.changed(".", *TRAVELS), *project.changed(CODE, untracked=True)]
    if changed:
        raise TriptychError(f"the jobs check out a commit, and {changed[0]} is not in it as it is: commit it first")
    return commit


def _queue(executor: Executor, common: Job, jobs: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Submit the jobs; return the number of each. Raises TriptychError if SLURM refuses."""
    from submitit.core.utils import FailedJobError

    found = {}
    try:
        if common.stages:
            first = executor.submit(replace(common, shared=True))
            found[SHARED] = first.job_id
            more = {"dependency": f"afterok:{first.job_id}", "kill-on-invalid-dep": "yes"}
            executor.update_parameters(additional_parameters=executor.parameters["additional_parameters"] | more)
        with executor.batch():
            array = {name: executor.submit(replace(common, name=name, stages=stages)) for name, stages in jobs.items()}
    except FailedJobError as error:
        raise TriptychError(f"SLURM refuses the jobs: {brief(error)}") from None
    return found | {name: job.job_id for name, job in array.items()}

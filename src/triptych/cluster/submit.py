"""`triptych submit`: a SLURM job for each experiment or study, after one for the stages that several of them need."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from triptych.cluster.job import Job
from triptych.cluster.slurm_options import SlurmOptions
from triptych.cluster.submission import SHARED, Submission, stages_of
from triptych.core.errors import TriptychError
from triptych.core.messages import one_line
from triptych.repository.project import NOT_WRITTEN_BY_STAGES, Project
from triptych.runner import parallel
from triptych.runner.dvc import stale_sources
from triptych.runner.dvc_locks import wait_for_other_dvc
from triptych.runner.schedule import Plan
from triptych.settings.params import Settings

if TYPE_CHECKING:
    from submitit import Executor

SETTINGS, CODE = ":!params.yaml", "src"


def refuse_without_slurm() -> None:
    """Raise TriptychError if this machine does not belong to a SLURM cluster."""
    if not all(map(which, ("sbatch", "srun"))):
        raise TriptychError("there is no SLURM here (no sbatch): run this on a login node of the cluster")


def submit(
    project: Project, settings: Settings, names: Sequence[str], options: SlurmOptions, scratch: Path | None
) -> Submission:
    """Submit the named experiments and studies, or all, that are not up to date.

    Raises TriptychError if the jobs could not run, or if nothing is to do.
    """
    commit = _committed(project)
    stages = {name: stages_of(settings, name) for name in names or (*settings.experiments, *settings.studies)}
    stale = stale_sources(project, settings, [stage for own in stages.values() for stage in own])
    if stale:
        fetches = " ".join(f"fetch@{name}" for name in stale)
        raise TriptychError(f"the images have changed: run `triptych repro {fetches}` first")
    wait_for_other_dvc(project.root)
    plan = parallel.begin_planning(project)()
    stages = {name: own for name, own in stages.items() if not plan.waits.keys().isdisjoint(own)}
    if not stages:
        raise TriptychError("there is nothing to submit: all of it is up to date")
    shared = _needed(plan, [stage for own in stages.values() for stage in own])
    submission = Submission.create(project)
    job = Job(project, commit, submission, SHARED, shared, [], plan.order, scratch)
    numbers = _queue(options.executor(submission.submitit_folder), job, stages)
    submission.write(commit, numbers, {SHARED: shared, **stages})
    return submission


def _committed(project: Project) -> str:
    """Return the commit that the jobs check out. Raises TriptychError if it does not contain all changes."""
    commit, _ = project.commit()
    if commit == "none":
        raise TriptychError("the jobs check out a commit, and this is no git repository with one: commit the project")
    # jobs get settings and results without a commit
    changed = [*project.changed(".", SETTINGS, *NOT_WRITTEN_BY_STAGES), *project.changed(CODE, untracked=True)]
    if changed:
        raise TriptychError(f"the jobs check out a commit, which does not contain your {changed[0]}: commit it first")
    return commit


def _needed(plan: Plan, stages: Iterable[str]) -> list[str]:
    """Return the stages that must run before these, in DVC's order."""
    targets = set(stages)
    found = set(targets)
    for stage in reversed(plan.waits):  # every stage stands after the stages that it waits for
        if stage in found:
            found.update(plan.waits[stage])
    return [stage for stage in plan.waits if stage in found - targets]


def _queue(executor: Executor, shared: Job, stages: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Submit the jobs; return the number of each. Raises TriptychError if SLURM refuses."""
    from submitit.core.utils import FailedJobError

    numbers, first = {}, None
    try:
        if shared.stages:
            first = executor.submit(shared)
            numbers[SHARED] = first.job_id
            condition = {"dependency": f"afterok:{first.job_id}", "kill-on-invalid-dep": "yes"}
            executor.update_parameters(additional_parameters=executor.parameters["additional_parameters"] | condition)
        with executor.batch():
            jobs = {
                name: executor.submit(replace(shared, name=name, stages=own, shared=shared.stages))
                for name, own in stages.items()
            }
    except FailedJobError as error:
        if first:
            first.cancel(check=False)
        raise TriptychError(f"SLURM refuses the jobs: {one_line(error)}") from None
    return numbers | {name: job.job_id for name, job in jobs.items()}

"""`triptych repro`: run the pipeline, with checks that DVC cannot make."""

from __future__ import annotations

import importlib.metadata
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.locks import locked
from triptych.repository.project import Project
from triptych.runner import dvc, fork_server, parallel
from triptych.runner.display import Display
from triptych.runner.dvc_locks import wait_for_other_dvc
from triptych.runner.gpus import gpu_groups, has_gpu_driver, visible_gpus
from triptych.runner.schedule import default_workers, overload_warning
from triptych.runner.time_left import expected_seconds

if TYPE_CHECKING:
    from triptych.settings.params import Settings
    from triptych.training.settings import Runtime

NVIDIA_DRIVER = Path("/proc/driver/nvidia")  # its device files may appear only at the first use
STAGE = re.compile(r"\w+(@[\w-]+)?")
ON_DEVICE = ("classifier", "classifier_reference", "reference", "train", "evaluate")  # other stages use the CPU


@contextmanager
def only_one(project: Project, display: Display) -> Iterator[None]:
    """Wait until no other `triptych repro` runs in this project, and let others wait until the block ends."""
    display.phase("looking for another `triptych repro`")
    with locked(project.private / "repro.lock", "`triptych repro`", display.notice):
        yield


def are_stages(arguments: Sequence[str]) -> bool:
    """Return whether all arguments of `dvc repro` look like stages of `dvc.yaml`, and none like an option or a file."""
    return all(STAGE.fullmatch(argument) for argument in arguments)


def begin_planning(project: Project, arguments: Sequence[str], display: Display) -> parallel.Planning | None:
    """Start a process that finds out which stages to run, so that the caller can import modules meanwhile.

    Return None if plain `dvc repro` runs the stages: because it gets arguments that are no stages, or because the tests
    of `runner/parallel.py` did not run with the installed version of DVC.
    """
    display.phase("planning: DVC compares all files with dvc.lock")
    _configure_scm(project)
    wait_for_other_dvc(project.root, say=display.notice)
    if not are_stages(arguments):
        return None
    if not dvc.is_tested():
        version, tested = importlib.metadata.version("dvc"), ", ".join(dvc.TESTED_VERSIONS)
        display.notice(f"running plain `dvc repro`, one stage at a time: DVC is {version}, tested are {tested}")
        return None
    return parallel.begin_planning(project, display, arguments)


def _configure_scm(project: Project) -> None:
    """Set DVC's local option `core.no_scm` if the project is not in a git repository, such as an unpacked archive."""
    has_git = (project.root / ".git").exists() or project.commit()[0] != "none"
    config = project.root / ".dvc" / "config.local"
    no_scm = config.exists() and "no_scm" in config.read_text(encoding="utf-8")
    if has_git == no_scm:
        option = ["--unset", "core.no_scm"] if has_git else ["core.no_scm", "true"]
        dvc.run_dvc(project, "config", "--local", *option)


def _check_targets(settings: Settings, arguments: Sequence[str]) -> None:
    """Raise TriptychError, with the names that are known, if an argument is no stage but looks like one."""
    from triptych.settings.sections import STAGE_SECTIONS

    for argument in arguments if "--glob" not in arguments else ():
        kind, named, name = argument.partition("@")
        if named and kind in ("train", "evaluate"):
            settings.experiment(name)
        elif named and kind == "study":
            settings.study(name)
        elif named and kind not in STAGE_SECTIONS and (nearest := get_close_matches(kind, STAGE_SECTIONS, 1)):
            raise TriptychError(f"{argument} is no stage: write {nearest[0]}@{name}")
        elif argument in settings.experiments:
            raise TriptychError(f"{argument} is an experiment, not a stage: name the stage evaluate@{argument}")
        elif argument in settings.studies:
            raise TriptychError(f"{argument} is a study, not a stage: name the stage study@{argument}")


def _check_device(runtime: Runtime, stages: Iterable[str]) -> None:
    """Raise TriptychError if a stage needs CUDA and this machine has no GPU. The stage itself notices it late."""
    on_device = any(stage.partition("@")[0] in ON_DEVICE for stage in stages)
    has_gpu = visible_gpus() or has_gpu_driver() or NVIDIA_DRIVER.exists()
    if on_device and runtime.device == "cuda" and not has_gpu:
        raise TriptychError("the device is cuda, which this machine does not have: write auto or cpu")


def repro(
    project: Project,
    settings: Settings,
    planning: parallel.Planning | None,
    arguments: Sequence[str],
    *,
    display: Display,
    jobs: int | None = None,
) -> int | None:
    """Bring the results up to date; return the exit status, or None if they were up to date.

    Data sets are fetched again first if the user's images have changed. With a planning process, run `jobs` stages at a
    time, by default as many as the machine allows. Without, run `dvc repro` with the arguments.
    """
    _check_targets(settings, arguments)
    sources = () if "--dry" in arguments else dvc.stale_sources(project, settings, arguments)
    stale = [f"fetch@{name}" for name in sources]
    if stale:
        if planning:
            planning()  # DVC would wait for its lock
        status = dvc.run_stages(project, display, "--force", "--single-item", *stale)
        if status:
            return status
        planning = planning and parallel.begin_planning(project, display, arguments)
    plan = planning and planning()
    if plan and not plan.order:
        raise TriptychError(
            "dvc.yaml has no stage that DVC finds: if it is missing or empty, run `git checkout dvc.yaml`; "
            "`git check-ignore -v dvc.yaml` shows whether git ignores it"
        )
    if plan and not plan.waits:
        display.say("Data and pipelines are up to date.")
        return None
    if plan:
        _check_device(settings.runtime, plan.waits)
    with fork_server.running({**os.environ, **dvc.NO_TELEMETRY}) as variables:
        if not plan:
            return dvc.run_stages(project, display, *arguments, **variables)
        workers = min(jobs or default_workers(settings.runtime), len(plan.waits))
        warning = overload_warning(workers, settings.runtime.threads * settings.runtime.processes)
        if warning:
            display.notice(warning)
        if len(plan.waits) < len(plan.order) and not arguments:
            display.say(f"{len(plan.order) - len(plan.waits)} of {len(plan.order)} stages are up to date")
        seconds = expected_seconds(project, settings, plan.waits)
        display.begin(seconds, workers)
        environment = {**dvc.NO_TELEMETRY, **variables, **display.variables}
        gpus = gpu_groups(settings.runtime)
        return parallel.run(project, plan, workers, environment, display, seconds=seconds, gpus=gpus)

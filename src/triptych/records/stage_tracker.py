"""The trackers of real runs: they write to the terminal, the journal, the run folder and MLflow.

A stage opens one of three contexts: `stage`, `training` or `evaluation`.
"""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import read_json
from triptych.core.progress import tell
from triptych.core.tracker import Console
from triptych.records.headlines import experiment_headline, headline_in_training, study_summary
from triptych.records.journal import Execution, look_up
from triptych.records.mlflow.live_run import INCOMPLETE, LiveRun, failure_as_warning
from triptych.records.mlflow.run_writer import bring_up_to_date
from triptych.records.mlflow.store import Store
from triptych.records.mlflow.tags import execution_tags
from triptych.records.run_folder import copy_evaluation, copy_model, copy_results, run_folder_of
from triptych.records.sample_sheets import draw_sample_sheets
from triptych.repository.project import Project
from triptych.training.history import History

PHASES = {
    "fetch": "reading images",
    "prepare": "writing the splits",
    "reference": "measuring real images",
    "report": "drawing comparisons",
}
LAST = "storing the results"  # what a stage does last: it writes records, then DVC hashes its outputs
NO_GROUPS: Mapping[str, Sequence[str]] = MappingProxyType({})
NOT_RECORDED = "the run is not recorded ({}); run `triptych sync` to record it"


class StageTracker(Console):
    """Write to the terminal, and collect facts for the journal."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution

    def say(self, text: str) -> None:
        super().say(text)
        tell(said=text)

    def note(self, **facts: str | float | int) -> None:
        self.execution.facts |= facts


class RunTracker(StageTracker):
    """A stage tracker that also logs the training run live in MLflow."""

    def __init__(self, execution: Execution, live: LiveRun) -> None:
        super().__init__(execution)
        self.live = live
        self.inputs: dict[str, Any] = {}

    def start(self, inputs: dict[str, Any]) -> None:
        self.inputs = inputs
        process = {"host": platform.node(), "pid": str(os.getpid())}
        self.live.start(inputs, execution_tags(self.execution.facts) | process)

    def log(self, row: Mapping[str, float]) -> None:
        self.live.log(row)
        tell(headline=headline_in_training(self.inputs["family"], row))

    def resume(self, history: History) -> None:
        self.live.waiting = [*history, *self.live.waiting]


@contextmanager
def stage(project: Project, name: str, item: str, result: Path) -> Iterator[StageTracker]:
    """Track a stage that trains nothing. If it succeeds, the journal keeps its facts under the file `result`."""
    execution = Execution(project, name, item)
    tell(phase=PHASES[name])
    yield StageTracker(execution)
    tell(doing="", phase=LAST)
    with failure_as_warning(NOT_RECORDED):
        execution.write(result)


@contextmanager
def training(
    project: Project, name: str, item: str, seed_groups: Mapping[str, Sequence[str]] = NO_GROUPS
) -> Iterator[RunTracker]:
    """Track a stage that trains `item`: terminal, journal, run folder, live run in MLflow.

    The stage calls the tracker's `start` before it trains. `seed_groups` are those of the settings. A classifier or a
    study is also evaluated by its stage, an experiment by another one: see `evaluation`.
    """
    execution = Execution(project, name, item)
    tell(doing="", phase="loading data")
    live = LiveRun(Store(project, seed_groups), item)
    tracker = RunTracker(execution, live)
    try:
        yield tracker
    except BaseException:
        live.fail()
        raise
    tell(doing="", phase=LAST)
    if name == "study":
        tell(headline=study_summary(read_json(project.results(item)), tracker.inputs["family"]))
    evaluated_later, model = name == "train", project.model(item)
    with failure_as_warning(NOT_RECORDED):
        run = run_folder_of(project, item, tracker.inputs["fingerprint"])
        if run.is_complete and _repeats_a_result(execution, model / MANIFEST):
            live.discard()
            return
        execution.write(model / MANIFEST)
        shutil.rmtree(run.path, ignore_errors=True)
        run = copy_results(project, item)
        if evaluated_later:
            with failure_as_warning(INCOMPLETE):
                draw_sample_sheets(run, model)
        live.finish(run, model if evaluated_later else None, execution.facts)


@contextmanager
def evaluation(
    project: Project, item: str, seed_groups: Mapping[str, Sequence[str]] = NO_GROUPS
) -> Iterator[StageTracker]:
    """Track the evaluation of `item`: results and pictures go into the run folder and MLflow run of its training."""
    execution = Execution(project, "evaluate", item)
    tell(doing="", phase="measuring")
    yield StageTracker(execution)
    tell(doing="", phase=LAST, headline=experiment_headline(read_json(project.results(item))))
    model = project.model(item)
    with failure_as_warning(NOT_RECORDED):
        if not _repeats_a_result(execution, project.results(item)):
            execution.write(project.results(item))
        run = copy_model(project, item, model)
        before = None if run.evaluation else run.digest
        copy_evaluation(run, project.plots(item))
        facts = look_up(project, "train", item, model / MANIFEST)
        with failure_as_warning(INCOMPLETE):
            bring_up_to_date(Store(project, seed_groups), run, facts, model, before)


def _repeats_a_result(execution: Execution, result: Path) -> bool:
    """Return whether this is a DVC experiment whose result the journal already has, such as a point of a sweep.

    The record of the first run is kept: its commit and time are those of the result in the user's folder.
    """
    return "dvc_exp" in execution.facts and bool(look_up(execution.project, execution.stage, execution.name, result))

"""The tracker of a real run: terminal, journal, records, MLflow."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import MANIFEST
from triptych.core.hashing import sha256_of_json
from triptych.core.tracker import Console
from triptych.records.journal import Execution, look_up
from triptych.records.mlflow.live import LiveRun
from triptych.records.mlflow.store import Store, brief, run_tags, warn
from triptych.records.run_folder import keep_evaluation, keep_model, params_of, record_of
from triptych.records.sample_sheets import keep_samples

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.training.history import History


class StageTracker(Console):
    """Writes to the terminal and gathers facts for the journal."""

    def __init__(self, execution: Execution) -> None:
        self.execution = execution

    def note(self, **facts: str | float | int) -> None:
        self.execution.facts |= facts


class RunTracker(StageTracker):
    """The same, and shows the run in MLflow while it happens."""

    def __init__(self, execution: Execution, live: LiveRun) -> None:
        super().__init__(execution)
        self.live = live

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        self.live.log(dict(metrics))

    def resume(self, history: History) -> None:
        self.live.waiting = [*history, *self.live.waiting]


@contextmanager
def stage(project: Project, name: str, item: str, result: Path) -> Iterator[StageTracker]:
    """A stage that trains nothing: it speaks, and its execution enters the journal if it writes `result`."""
    execution = Execution(project, name, item)
    yield StageTracker(execution)
    with _never_costs_a_run():
        execution.write(result)


@contextmanager
def training(
    project: Project,
    name: str,
    item: str,
    inputs: dict[str, Any],
    model: Path,
    *,
    metrics: Path | None = None,
    plots: Path | None = None,
) -> Iterator[RunTracker]:
    """A stage that trains `item` into the folder `model`: terminal, journal, record, and a live run in MLflow.

    A classifier and a study measure themselves, into `metrics` and `plots`; an experiment leaves that to its
    evaluation.
    """
    execution = Execution(project, name, item)
    settings = inputs["settings"]
    family = settings.get("family") or settings.get("study", "classifier")
    marked = {**inputs, "fingerprint": sha256_of_json(inputs), "family": family}
    live = LiveRun(Store(project), item, marked, params_of(marked))
    live.start(run_tags(execution.facts) | {"host": platform.node(), "pid": str(os.getpid())})
    try:
        yield RunTracker(execution, live)
    except BaseException:
        live.fail()
        raise
    with _never_costs_a_run():
        execution.write(model / MANIFEST)
        shutil.rmtree(record_of(project, item, marked["fingerprint"]).folder, ignore_errors=True)
        record = keep_model(project, item, model)
        if metrics:
            record = keep_evaluation(project, item, record.fingerprint, metrics, plots)
        else:
            with _never_costs_a_run():
                keep_samples(record, model)
        live.finish(record, None if metrics else model, execution.facts)


@contextmanager
def evaluation(project: Project, item: str, model: Path, metrics: Path, plots: Path) -> Iterator[StageTracker]:
    """The evaluation of `item`: terminal, journal, and its numbers and pictures in the run of its training."""
    execution = Execution(project, "evaluate", item)
    yield StageTracker(execution)
    with _never_costs_a_run():
        execution.write(metrics)
        record = keep_model(project, item, model)
        before = record.digest_unevaluated
        record = keep_evaluation(project, item, record.fingerprint, metrics, plots)
        live = LiveRun(Store(project), item, record.inputs, record.params)
        live.add_evaluation(record, before, look_up(project, "train", item, model / MANIFEST), model)


@contextmanager
def _never_costs_a_run() -> Iterator[None]:
    """The results are written; what fails from here on, a record or a sheet of samples, costs a warning."""
    try:
        yield
    except Exception as error:
        warn(f"the run is not recorded ({brief(error)}); `triptych sync` records it later")

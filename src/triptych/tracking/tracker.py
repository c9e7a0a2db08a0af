"""The tracker of a real run: terminal, journal, records, MLflow."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from triptych.files import read_json, sha256_of_json
from triptych.tracker import Console
from triptych.tracking.journal import Execution, look_up
from triptych.tracking.records import Record, keep_evaluation, keep_model, params_of, record_of
from triptych.tracking.store import LiveRun, Store, run_tags

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.project import Project
    from triptych.training.checkpoint import History


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
        self.live.log({**metrics, "epoch": step})

    def resume(self, history: History) -> None:
        self.live.waiting = [*history, *self.live.waiting]


@contextmanager
def stage(project: Project, name: str, item: str, inputs: Mapping[str, Any]) -> Iterator[StageTracker]:
    """A stage that trains nothing: it speaks, and its execution enters the journal if it succeeds."""
    execution = Execution(project, name, item)
    yield StageTracker(execution)
    execution.write(sha256_of_json(dict(inputs)))


@contextmanager
def training(
    project: Project, name: str, item: str, inputs: dict[str, Any], model: Path, *, metrics: Path | None = None
) -> Iterator[RunTracker]:
    """A stage that trains `item` into the folder `model`: terminal, journal, record, and a live run in MLflow.

    A classifier measures itself, into `metrics`; an experiment leaves that to its evaluation.
    """
    execution = Execution(project, name, item)
    marked = {**inputs, "fingerprint": sha256_of_json(inputs), "family": inputs["settings"].get("family", "classifier")}
    record = record_of(project, item, marked["fingerprint"])
    live = LiveRun(Store(project), item, marked, params_of(marked))
    process = {"host": platform.node(), "pid": str(os.getpid())}
    live.start(run_tags(execution.facts) | process)
    tracker = RunTracker(execution, live)
    try:
        yield tracker
    except BaseException:
        live.fail()
        raise
    shutil.rmtree(record.folder, ignore_errors=True)
    record = keep_model(project, item, model)
    if metrics:
        record = keep_evaluation(project, item, record.fingerprint, metrics, None)
    live.finish(record, None if metrics else model)
    execution.write(record.fingerprint)


@contextmanager
def evaluation(project: Project, item: str, model: Path, metrics: Path, plots: Path) -> Iterator[StageTracker]:
    """The evaluation of `item`: terminal, journal, and its numbers and pictures in the run of its training."""
    execution = Execution(project, "evaluate", item)
    manifest = read_json(model / "manifest.json")
    yield StageTracker(execution)
    record = keep_model(project, item, model)
    before = _digest_without_evaluation(record)
    record = keep_evaluation(project, item, record.fingerprint, metrics, plots)
    live = LiveRun(Store(project), item, record.inputs, record.params)
    training_facts = look_up(project, "train", item, record.fingerprint)
    live.add_evaluation(record, before, training_facts, model)
    execution.write(manifest["fingerprint"])


def _digest_without_evaluation(record: Record) -> str:
    return sha256_of_json([record.inputs, record.history, {}, {}])

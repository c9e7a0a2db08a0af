"""Where the time of a training goes: the step itself, and everything around it."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from bench import ROOT
from data import prepared
from harness import PROGRESS, Table
from triptych.core.progress import Progress
from triptych.core.project import Project
from triptych.core.schema import Budget
from triptych.records.stage_tracker import RunTracker, training
from triptych.stages import train as stage
from triptych.stages.run_inputs import train_inputs
from triptych.training import loop
from triptych.training.checkpoint import Workplace
from triptych.training.ema import Ema
from triptych.training.images import TrainingImages

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

TRAINED = {"vae-20d": 6, "realnvp-mnist": 1}  # epochs of 50,000 images
STEP, VALIDATION = "step", "validation"
AROUND = ("batches", "EMA", "NaN checks", VALIDATION)
ALONE = "step, validation aside"
TRACKING, PROGRESSING, SAVING, RECORDS = "tracking", "progress", "checkpoints", "these three"
REST = "the rest"
SAVE = Workplace.save
GOALS = {ALONE: "at least 95%", RECORDS: "under 3%"}


class Stopwatch:
    """Seconds by activity; of two, one inside the other, the inner one counts."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.running: list[str] = []
        self.since = 0.0
        self.saved = 0

    def _switch(self) -> None:
        now = time.perf_counter()
        if self.running:
            self.seconds[self.running[-1]] += now - self.since
        self.since = now

    @contextmanager
    def of(self, activity: str) -> Iterator[None]:
        """The block is this activity."""
        self._switch()
        self.running.append(activity)
        try:
            yield
        finally:
            self._switch()
            self.running.pop()

    def timed(self, activity: str, work: Callable) -> Callable:
        """The same function, as this activity."""

        @wraps(work)
        def wrapped(*words: Any, **named: Any) -> Any:  # noqa: ANN401 (whatever it takes)
            self.saved += work is SAVE
            with self.of(activity):
                return work(*words, **named)

        return wrapped

    def timed_batches(self, work: Callable) -> Callable:
        """The same generator, the drawing of each batch as an activity."""

        def batches(*words: Any) -> Iterator[Any]:  # noqa: ANN401
            drawn = work(*words)
            while True:
                with self.of("batches"):
                    batch = next(drawn, None)
                if batch is None:
                    return
                yield batch

        return batches


def watched(stopwatch: Stopwatch, family: type) -> ExitStack:
    """Everything that a training calls, timed, until the stack is closed."""
    parts = (
        (family, "step", STEP),
        (Ema, "update", "EMA"),
        (loop.Trainer, "_refuse_divergence", "NaN checks"),
        (loop.Trainer, "validate", VALIDATION),
        (loop.Trainer, "untrained_epoch", VALIDATION),
        (RunTracker, "log", TRACKING),
        (RunTracker, "note", TRACKING),
        (Progress, "due", PROGRESSING),
        (Progress, "report", PROGRESSING),
        (Workplace, "save", SAVING),
        (loop.Trainer, "state", SAVING),
        (loop.Trainer, "snapshot", SAVING),
        (loop, "save_tensors", SAVING),
        (stage, "fit", REST),
    )
    stack = ExitStack()
    for owner, name, activity in parts:
        stack.enter_context(patch.object(owner, name, stopwatch.timed(activity, getattr(owner, name))))
    drawing = stopwatch.timed_batches(TrainingImages.batches)
    stack.enter_context(patch.object(TrainingImages, "batches", drawing))
    return stack


def measure(bench: Bench) -> list[Table]:
    """One table, `loop`: percent of the time from the first epoch to the last."""
    table = Table("loop")
    for name, epochs in TRAINED.items():
        for number in PROGRESS.rounds(f"loop: {name}, {epochs} epochs", bench.rounds):
            stopwatch = Stopwatch()
            _train(bench, name, epochs, stopwatch, bench.folder / f"loop-{name}-{number}")
            whole = sum(stopwatch.seconds.values())
            share = {activity: 100 * spent / whole for activity, spent in stopwatch.seconds.items()}
            share[RECORDS] = sum(share.get(activity, 0.0) for activity in (TRACKING, PROGRESSING, SAVING))
            table.add(name, "training", whole, "s")
            table.add(name, "saved", stopwatch.saved, "times")
            share[ALONE] = 100 * share[STEP] / (100 - share[VALIDATION])
            for activity in (STEP, ALONE, *AROUND, TRACKING, PROGRESSING, SAVING, RECORDS, REST):
                table.add(name, activity, share.get(activity, 0.0), "%")
    for activity, goal in GOALS.items():
        table.say("goal", activity, goal)
    return [table]


def _train(bench: Bench, name: str, epochs: int, stopwatch: Stopwatch, folder: Path) -> None:
    experiment = bench.settings.experiment(name)
    experiment = experiment.model_copy(update={"epochs": Budget(quick=epochs, full=epochs)})
    data = prepared(bench.settings, experiment.dataset, bench.folder)
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    project, runtime = Project(folder), bench.settings.runtime
    inputs = train_inputs(experiment, "full", runtime, data)
    with (
        training(project, "train", name, inputs, project.model(name)) as tracker,
        watched(stopwatch, _family_class(name, bench)),
    ):
        stage.train(
            name=name,
            experiment=experiment,
            profile="full",
            runtime=runtime,
            data=data.folder,
            output=project.model(name),
            checkpoints=project.private / "checkpoints",
            code="",
            tracker=tracker,
        )
    shutil.rmtree(folder)


def _family_class(name: str, bench: Bench) -> type:
    from triptych.models.common.registry import build

    experiment = bench.settings.experiment(name)
    return type(build(experiment.family, experiment.model_at("full"), (28, 28)))

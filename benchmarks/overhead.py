"""The shares of a training's time: the steps, and everything else."""

from __future__ import annotations

import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import wraps
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from data_sets import prepared
from harness import PROGRESS, ROOT, Table
from triptych.core.progress import Progress
from triptych.core.settings_types import ByProfile
from triptych.records.stage_tracker import RunTracker, training
from triptych.repository.project import Project
from triptych.stages import train as stage
from triptych.training import loop, trainer
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.ema import Ema
from triptych.training.images import TrainingImages

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Context

TRAINED = {"vae-20d": 6, "realnvp-mnist": 1}  # epochs of 50,000 images
STEP, VALIDATION = "step", "validation"
AROUND = ("batches", "EMA", "NaN checks", VALIDATION)
ALONE = "step, without validation"
TRACKING, PROGRESSING, SAVING, RECORDS = "tracking", "progress", "checkpoints", "tracking, progress and checkpoints"
REST = "the rest"
SAVE = CheckpointFolder.save
GOALS = {ALONE: "at least 95%", RECORDS: "under 3%"}


class Stopwatch:
    """Seconds per activity; time in a nested activity counts for the inner one only."""

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
        """Count the time of the block for this activity."""
        self._switch()
        self.running.append(activity)
        try:
            yield
        finally:
            self._switch()
            self.running.pop()

    def timed(self, activity: str, work: Callable) -> Callable:
        """Return the function so that its time counts for this activity."""

        @wraps(work)
        def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 (any function)
            self.saved += work is SAVE
            with self.of(activity):
                return work(*arguments, **named)

        return wrapped

    def timed_batches(self, work: Callable) -> Callable:
        """Return the generator so that the time to draw each batch counts as an activity."""

        def batches(*arguments: Any) -> Iterator[Any]:  # noqa: ANN401
            drawn = work(*arguments)
            while True:
                with self.of("batches"):
                    batch = next(drawn, None)
                if batch is None:
                    return
                yield batch

        return batches


def watched(stopwatch: Stopwatch, family: type) -> ExitStack:
    """Time everything that a training calls until the stack is closed."""
    parts = (
        (family, "step", STEP),
        (Ema, "update", "EMA"),
        (trainer.Trainer, "_refuse_divergence", "NaN checks"),
        (trainer.Trainer, "validate", VALIDATION),
        (trainer.Trainer, "untrained_epoch", VALIDATION),
        (RunTracker, "log", TRACKING),
        (RunTracker, "note", TRACKING),
        (Progress, "due", PROGRESSING),
        (Progress, "report", PROGRESSING),
        (CheckpointFolder, "save", SAVING),
        (trainer.Trainer, "state", SAVING),
        (trainer.Trainer, "snapshot", SAVING),
        (loop, "save_tensors", SAVING),
        (stage, "fit", REST),
    )
    stack = ExitStack()
    for owner, name, activity in parts:
        stack.enter_context(patch.object(owner, name, stopwatch.timed(activity, getattr(owner, name))))
    drawing = stopwatch.timed_batches(TrainingImages.batches)
    stack.enter_context(patch.object(TrainingImages, "batches", drawing))
    return stack


def measure(context: Context) -> list[Table]:
    """Fill the table `overhead`: shares of the time from the first epoch to the last, in percent."""
    table = Table("overhead")
    for name, epochs in TRAINED.items():
        for number in PROGRESS.rounds(f"overhead: {name}, {epochs} epochs", context.rounds):
            stopwatch = Stopwatch()
            _train(context, name, epochs, stopwatch, context.folder / f"overhead-{name}-{number}")
            whole = sum(stopwatch.seconds.values())
            share = {activity: 100 * spent / whole for activity, spent in stopwatch.seconds.items()}
            share[RECORDS] = sum(share.get(activity, 0.0) for activity in (TRACKING, PROGRESSING, SAVING))
            table.add(name, "training", whole, "s")
            table.add(name, "saved", stopwatch.saved, "times")
            share[ALONE] = 100 * share[STEP] / (100 - share[VALIDATION])
            for activity in (STEP, ALONE, *AROUND, TRACKING, PROGRESSING, SAVING, RECORDS, REST):
                table.add(name, activity, share.get(activity, 0.0), "%")
    for activity, goal in GOALS.items():
        table.set_text("goal", activity, goal)
    return [table]


def _train(context: Context, name: str, epochs: int, stopwatch: Stopwatch, folder: Path) -> None:
    experiment = context.settings.experiment(name)
    experiment = experiment.model_copy(update={"epochs": ByProfile[int](quick=epochs, full=epochs)})
    data = prepared(context.settings, experiment.dataset, context.folder)
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    project, runtime = Project(folder), context.settings.runtime
    with (
        training(project, "train", name) as tracker,
        watched(stopwatch, _family_class(name, context)),
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


def _family_class(name: str, context: Context) -> type:
    from triptych.models.common.registry import build

    experiment = context.settings.experiment(name)
    return type(build(experiment.family, experiment.model_at("full"), (28, 28)))

"""The interface of a kind of study, and the training loop of all studies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from torch import Tensor

from triptych.core.errors import DivergenceError
from triptych.core.progress import Progress
from triptych.core.tracker import Tracker
from triptych.studies.settings import StudySettings
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import History
from triptych.training.resume import ResumableRun, copy_tensors

MOST_ROWS = 200  # of a history


class Study(ABC):
    """c configurations in training, which do not influence each other."""

    configurations: Sequence[str]
    """Their names, in the order of every tensor's dimension c."""

    @abstractmethod
    def advance(self, iterations: range) -> dict[str, Tensor]:
        """Train for these iterations, counted from 0. Return each quantity by name, (iterations, c).

        All random numbers depend only on the seed and on `iterations`.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return, by name and not copied, all tensors that the next iteration depends on."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """Return the results of training, by names that begin with `<configuration>/`."""


@dataclass(frozen=True)
class StudyEvaluation:
    """A trained study, as a kind's `measure` and `draw_pictures` receive it."""

    settings: StudySettings
    weights: Path
    """The file with `Study.weights`."""
    history: History
    folder: Path
    """The folder that pictures are written to."""


def fit(
    name: str, study: Study, iterations: int, *, checkpoints: CheckpointFolder, interval: float, tracker: Tracker
) -> History:
    """Train to the last iteration, from the last checkpoint if there is one. Return the history.

    A row holds the mean of each quantity over the iterations since the row before it. `interval` is in seconds. Raises
    DivergenceError at a quantity that is not finite.
    """
    run = ResumableRun(
        name, checkpoints, tracker, unit="iteration", total=iterations, interval=interval, save_last=True
    )
    run.restore(partial(copy_tensors, study.state()))
    start, chunk = max(run.done, 0), -(-iterations // MOST_ROWS)
    progress = Progress(name, iterations, start, "iterations")
    for first in range(start, iterations, chunk):
        numbers = range(first, min(first + chunk, iterations))
        values = study.advance(numbers)
        for quantity, found in values.items():
            _refuse_divergence(name, study, quantity, found, first)
        row = {
            f"{configuration}.{quantity}": float(value)
            for quantity, found in values.items()
            for configuration, value in zip(study.configurations, found.mean(0), strict=True)
        }
        run.log({"iteration": numbers.stop, **row})
        if progress.due():
            progress.report(numbers.stop, f"iteration {numbers.stop:,}/{iterations:,}")
        run.save_if_due(study.state)
    progress.finish()
    seconds = run.seconds()
    tracker.note(train_seconds=seconds, iterations_per_second=iterations / seconds)
    return run.history


def _refuse_divergence(name: str, study: Study, quantity: str, values: Tensor, first: int) -> None:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        iteration, index = bad[0].tolist()
        raise DivergenceError(
            f"{name} diverged: {quantity} of {study.configurations[index]} is not finite at iteration "
            f"{first + iteration + 1:,}; lower studies.{name}.learning_rate"
        )

"""The training loop of every study."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError
from triptych.core.progress import Progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from triptych.core.tracker import Tracker
    from triptych.studies.base import Study
    from triptych.training.checkpoint import History, Workplace

ROWS = 200  # of a history, at most


def fit(
    name: str,
    study: Study,
    iterations: int,
    *,
    workplace: Workplace,
    checkpoint_seconds: float,
    tracker: Tracker,
    clock: Callable[[], float],
) -> History:
    """Train to the last iteration, from the last checkpoint if there is one; return the history.

    A row stands for the iterations since the row before it. Raises TriptychError at a number that is not finite.
    """
    checkpoint = workplace.load()
    done, history, earlier = 0, [], 0.0
    if checkpoint:
        done, tensors, history, earlier = checkpoint
        for key, value in study.state().items():
            value.copy_(tensors[key])
        tracker.resume(list(history))
        tracker.say(f"{name}: going on after iteration {done:,} of {iterations:,}")
    progress, saved = Progress(name, iterations, done, "iterations"), clock()
    chunk = -(-iterations // ROWS)
    for first in range(done, iterations, chunk):
        numbers = range(first, min(first + chunk, iterations))
        values = study.advance(numbers)
        for quantity, found in values.items():
            _refuse_divergence(name, study, quantity, found, first)
        row = {
            f"{configuration}.{quantity}": float(value)
            for quantity, found in values.items()
            for configuration, value in zip(study.configurations, study.condense(found), strict=True)
        }
        history.append({"iteration": numbers.stop, **row})
        tracker.log(numbers.stop, history[-1])
        if progress.due():
            progress.report(numbers.stop, f"iteration {numbers.stop:,}/{iterations:,}")
        if numbers.stop == iterations or clock() - saved >= checkpoint_seconds:
            workplace.save(numbers.stop, study.state(), history, earlier + progress.seconds())
            saved = clock()
    seconds = earlier + progress.finish()
    tracker.note(train_seconds=seconds, iterations_per_second=iterations / seconds)
    return history


def _refuse_divergence(name: str, study: Study, quantity: str, values: torch.Tensor, first: int) -> None:
    bad = (~values.isfinite()).nonzero()
    if len(bad):
        iteration, index = bad[0].tolist()
        raise TriptychError(
            f"{name} diverged: {quantity} of {study.configurations[index]} is not finite at iteration "
            f"{first + iteration + 1:,}; lower studies.{name}.learning_rate"
        )

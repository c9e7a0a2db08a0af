"""The interface through which a stage reports its progress and its results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any


class Tracker:
    """Receives the reports of a stage, and ignores them. No result of a stage depends on its tracker."""

    def start(self, inputs: dict[str, Any]) -> None:
        """Note that a training run begins; `inputs` are its inputs, its family and its fingerprint."""

    def say(self, text: str) -> None:
        """Print one line on the terminal."""

    def log(self, row: Mapping[str, float]) -> None:
        """Record one row of the history, with its step. Rows come in order."""

    def resume(self, history: list[dict[str, float]]) -> None:
        """Note that the stage continues from a checkpoint; `history` holds the rows that were logged before it."""

    def note(self, **facts: str | float | int) -> None:
        """Record in the journal facts that do not follow from the inputs: device, seconds, samples per second."""


class Console(Tracker):
    """A tracker that prints lines and records nothing: for tests, notebooks and stages without records."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

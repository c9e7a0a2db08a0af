"""What a stage tells the world while it runs."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping


class Tracker(Protocol):
    """Listens to a stage. Nothing that a stage computes depends on what a tracker does with it."""

    def say(self, text: str) -> None:
        """One line for the person at the terminal."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """A row of the history, after an epoch or so many iterations; it holds its step too. Called in order."""

    def resume(self, history: list[dict[str, float]]) -> None:
        """The stage goes on from a checkpoint; `history` holds the rows logged before it."""

    def note(self, **facts: str | float | int) -> None:
        """What is not a function of the inputs, for the journal: device, seconds, samples per second."""


class Silent:
    """A tracker that neither speaks nor keeps anything: of all processes that share a training but the first."""

    def say(self, text: str) -> None:
        """Nothing is said."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Nothing is kept."""

    def resume(self, history: list[dict[str, float]]) -> None:
        """Nothing is kept."""

    def note(self, **facts: str | float | int) -> None:
        """Nothing is kept."""


class Console(Silent):
    """A tracker that speaks and forgets: for tests, notebooks, and stages that record nothing."""

    def say(self, text: str) -> None:
        print(text, file=sys.stderr, flush=True)

"""What a study is to the loop and the stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.studies.settings import StudySettings
    from triptych.training.checkpoint import History


class Study(ABC):
    """c configurations in training, which do not influence each other."""

    configurations: Sequence[str]
    """Their names, in the order of every tensor's dimension c."""

    @abstractmethod
    def advance(self, iterations: range) -> dict[str, Tensor]:
        """Train for these iterations, counted from 0; what came of each, by name, every one (iterations, c).

        All that is random depends on the seed and on `iterations` alone.
        """

    def condense(self, values: Tensor) -> Tensor:
        """The one number a configuration, (c,), that the history shows of `values` (iterations, c): the mean."""
        return values.mean(0)

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything that the next iteration depends on, by name, not copied."""

    @abstractmethod
    def weights(self) -> dict[str, Tensor]:
        """What training was for, by names that begin with `<configuration>/`."""


@dataclass(frozen=True)
class StudyEvaluation:
    """What a kind's `measure` and `draw_pictures` are given."""

    name: str
    settings: StudySettings
    weights: Path
    """The file with `Study.weights`."""
    history: History
    folder: Path
    """Where pictures go."""

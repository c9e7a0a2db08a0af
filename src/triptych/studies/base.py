"""The interface between a kind of study and the training loop and the stage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from triptych.studies.settings import StudySettings
from triptych.training.history import History


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

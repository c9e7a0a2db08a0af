"""How the page presents a family: captions and charts of its pictures, and sentences about its numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any

from triptych.figures.curves import Curve, curves_over_epochs
from triptych.figures.style import save
from triptych.models.common.registry import FAMILIES

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

Metrics = Mapping[str, Any]


@dataclass(frozen=True)
class Chart:
    """Columns of the history that one picture shows as curves over epochs."""

    y_label: str
    curves: tuple[Curve, ...]
    separate: bool = False
    """Whether curves of different colours have scales of their own."""

    def known(self, columns: Iterable[str]) -> list[Curve]:
        """Return the curves whose columns are in a history."""
        present = set(columns)
        return [curve for curve in self.curves if curve.column in present]

    def draw(self, evaluation: Evaluation, picture: str, title: str, y_label: str | None = None) -> None:
        """Draw the chart to `<picture>.png`; `y_label` replaces the chart's own label."""
        lines = self.known(evaluation.history[-1])
        figure = curves_over_epochs(evaluation.history, lines, title, y_label or self.y_label, apart=self.separate)
        save(figure, evaluation.folder / f"{picture}.png")


def training_and_validation(quantity: str, factor: int, suffix: str = "", *, dashed: bool = False) -> tuple[Curve, ...]:
    """Return the curves of one quantity on training and on validation images."""
    return (
        Curve(f"train_{quantity}", f"training{suffix}", "train", factor, dashed),
        Curve(f"valid_{quantity}", f"validation{suffix}", "valid", factor, dashed),
    )


@dataclass(frozen=True)
class Presentation:
    """The texts and charts of a family on the page. All parts are optional."""

    captions: Mapping[str, str] = field(default_factory=dict)
    """Captions by the beginning of a picture's file name."""
    charts: Mapping[str, Chart] = field(default_factory=dict)
    """Charts by picture, which the page draws with values in place of the picture."""
    notes: Callable[[Metrics], Sequence[str]] = lambda metrics: ()
    """Returns sentences below the pictures of an experiment, from its metrics."""
    question: str = ""
    """A question of the documents that the findings answer."""
    findings: Callable[[Mapping[str, Any], Mapping[str, Metrics]], Iterable[str]] = lambda experiments, metrics: ()
    """Returns sentences from the settings and the metrics of the family's experiments, both by name."""


def presentation_of(family: str) -> Presentation:
    """Return the presentation of a family."""
    return import_module(FAMILIES[family].presentation).PRESENTATION


def presentations() -> list[Presentation]:
    """Return the presentations of all families."""
    return [presentation_of(family) for family in FAMILIES]

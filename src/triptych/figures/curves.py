"""Curves over training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Curve:
    """One column of a history: its name there, its name on the figure, its colour's meaning, and a factor."""

    column: str
    label: str
    colour: str
    factor: float = 1.0
    dashed: bool = False


def curves(history: Sequence[dict[str, float]], lines: Sequence[Curve], title: str, y_label: str) -> Figure:
    """One panel over all epochs and, where the start dwarfs the rest, a second one without it."""
    spread = _dwarfed(history, lines)
    figure = new_figure(10.0 if spread else 7.0)
    panels = figure.subplots(1, 2 if spread else 1, squeeze=False)[0]
    for panel, first in zip(panels, (0, spread), strict=False):
        for line in lines:
            points = [(row["epoch"], line.factor * row[line.column]) for row in history[first:] if line.column in row]
            epochs, values = zip(*points, strict=True) if points else ((), ())
            style = {
                "linestyle": "--" if line.dashed else "-",
                "marker": "o" if len(points) < 25 else "",
                "markersize": 3,
            }
            panel.plot(epochs, values, color=COLOURS[line.colour], label=f"{line.label}", **style)
        tidy(panel, "epoch", y_label)
        panel.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = len(labels) if len(labels) < 4 else 2
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
    if spread:
        panels[0].set_title("from the untrained model on", fontsize=10)
        panels[1].set_title(f"from epoch {spread} on", fontsize=10)
    figure.suptitle(title, fontsize=12)
    return figure


def _dwarfed(history: Sequence[dict[str, float]], lines: Sequence[Curve]) -> int:
    """The epoch from which to draw the second panel, or 0 if one panel shows everything."""
    start = max(1, len(history) // 10)
    values = [[row[line.column] for line in lines if line.column in row] for row in history]
    later = [value for row in values[start:] for value in row]
    if len(history) < 5 or not later or not values[0]:
        return 0
    whole = max(map(max, filter(None, values))) - min(map(min, filter(None, values)))
    return start if whole > 3 * (max(later) - min(later)) else 0

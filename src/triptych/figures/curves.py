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


def curves(
    history: Sequence[dict[str, float]], lines: Sequence[Curve], title: str, y_label: str, *, apart: bool = False
) -> Figure:
    """One panel over all epochs and, where the start dwarfs the rest, a second one without it.

    `apart` gives the lines of each colour panels of their own, for what has no scale in common.
    """
    colours = dict.fromkeys(line.colour for line in lines)
    groups = [[line for line in lines if line.colour == colour] for colour in colours] if apart else [list(lines)]
    spreads = [_dwarfed(history, group) for group in groups]
    width = sum(2 if spread else 1 for spread in spreads)
    figure = new_figure(7.0 if width == 1 else 5.0 * width)
    panels = figure.subplots(1, width, squeeze=False)[0]
    shown = [
        (group, first, spread) for group, spread in zip(groups, spreads, strict=True) for first in sorted({0, spread})
    ]
    for panel, (group, first, spread) in zip(panels, shown, strict=True):
        for line in group:
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
        if spread:
            panel.set_title(f"from epoch {first} on" if first else "from the untrained model on", fontsize=10)
    named = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    columns = len(named) if len(named) < 4 else 2
    figure.legend(named.values(), named, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)
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

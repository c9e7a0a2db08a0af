"""Curves over epochs, over iterations and over the number of layers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import CLASS_COLOURS, COLOURS, add_legend, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[dict[str, float]]
MOST_MARKERS = 25  # from this number of points on, lines have no markers


@dataclass(frozen=True)
class Curve:
    """One column of a history, its label, the key of its colour, and a factor."""

    column: str
    label: str
    colour: str
    factor: float = 1.0
    dashed: bool = False


def curves_over_epochs(
    history: History, lines: Sequence[Curve], title: str, y_label: str, *, apart: bool = False
) -> Figure:
    """Return a panel over all epochs and, if the first values hide the rest, a second panel without them.

    With `apart`, the lines of each colour get panels of their own, for values without a common scale.
    """
    colours = dict.fromkeys(line.colour for line in lines)
    groups = [[line for line in lines if line.colour == colour] for colour in colours] if apart else [list(lines)]
    shown = [(group, first) for group in groups for first in _first_epochs(history, group)]
    figure = new_figure(7.0 if len(shown) == 1 else 5.0 * len(shown), title=title)
    panels = figure.subplots(1, len(shown), squeeze=False)[0]
    for panel, (group, first) in zip(panels, shown, strict=True):
        for line in group:
            _draw(panel, history[first:], line)
        tidy(panel, "epoch", y_label)
        panel.xaxis.get_major_locator().set_params(integer=True)
        if len(_first_epochs(history, group)) > 1:
            panel.set_title(f"from epoch {first} on" if first else "from the untrained model on", fontsize=10)
    handles = {
        label: handle for panel in panels for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    add_legend(figure, handles.values(), handles, columns=len(handles) if len(handles) < 4 else 2)
    return figure


def _first_epochs(history: History, lines: Sequence[Curve]) -> tuple[int, ...]:
    """Return the epoch at which each panel of the lines begins: 0, and a later one if the first values dominate."""
    start = max(1, len(history) // 10)
    values = [[row[line.column] for line in lines if line.column in row] for row in history]
    later = [value for row in values[start:] for value in row]
    if len(history) < 5 or not later or not values[0]:
        return (0,)
    everything = [value for row in values for value in row]
    dominated = max(everything) - min(everything) > 3 * (max(later) - min(later))
    return (0, start) if dominated else (0,)


def _draw(panel: Axes, history: History, line: Curve) -> None:
    points = [(row["epoch"], line.factor * row[line.column]) for row in history if line.column in row]
    epochs, values = zip(*points, strict=True) if points else ((), ())
    panel.plot(
        epochs,
        values,
        color=COLOURS[line.colour],
        label=line.label,
        linestyle="--" if line.dashed else "-",
        marker="o" if len(points) < MOST_MARKERS else "",
        markersize=3,
    )


def curves_over_iterations(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, title: str, label: str, mark: float | None
) -> Figure:
    """Return one panel per heading, with one curve per configuration on a logarithmic scale.

    A dotted line at iteration `mark` shows the end of annealing.
    """
    figure = new_figure(10.0, title=title)
    places = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (heading, curves) in zip(places, panels.items(), strict=True):
        for colour, (name, points) in zip(CLASS_COLOURS[1:], curves.items(), strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, label=name, linewidth=1.3)
        if mark is not None:
            axes.axvline(mark, color=COLOURS["real"], linestyle=":", label="end of annealing")
        axes.set_yscale("log")
        axes.set_title(heading, fontsize=10)
        tidy(axes, "iteration", label if axes is places[0] else "")
        axes.legend(frameon=False, fontsize=9)
    return figure


def values_over_layers(
    lines: Mapping[str, Mapping[int, tuple[float, float]]], floors: Mapping[str, float], title: str, label: str
) -> Figure:
    """Return value and standard error per number of layers, one line per density, with its lower bound `floors`."""
    figure = new_figure(title=title)
    axes = figure.subplots()
    for name, found in lines.items():
        values, errors = zip(*found.values(), strict=True)
        axes.errorbar(
            range(len(found)), values, yerr=errors, fmt="o-", color=COLOURS[name], capsize=3, label=f"{name}: flow"
        )
        axes.axhline(floors[name], color=COLOURS[name], linestyle="--", label=f"{name}: entropy {floors[name]:.3f}")
        for place, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (place, value), xytext=(7, 7), textcoords="offset points", fontsize=9)
        axes.set_xticks(range(len(found)), [str(k) for k in found])
    axes.margins(x=0.12, y=0.12)
    tidy(axes, "planar layers", label)
    add_legend(figure)
    return figure

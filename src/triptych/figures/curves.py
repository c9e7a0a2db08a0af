"""Curves over epochs, iterations and layers, and the critic's metric beside the FID over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle, product
from typing import TYPE_CHECKING, Any

from triptych.figures.style import CLASS_COLOURS, COLOURS, HEIGHT, WIDTH, add_legend, label_point, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[dict[str, float]]
MOST_MARKERS = 25  # from this number of points on, lines have no markers
PANELS_PER_ROW = 3  # of metrics and FIDs
LINE_STYLES = ("-", "--", ":")  # of further curves, when the colours of classes are used up
HEADROOM = 1.08  # upper end of the FID axis, relative to the largest FID


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
    """Return a panel over all epochs, and a second panel without the first epochs, whose values may hide the rest.

    With `apart`, for values without a common scale, the lines of each colour get a row of panels of their own. The key
    of the colour names them on the axis.
    """
    colours = dict.fromkeys(line.colour for line in lines)
    groups = [[line for line in lines if line.colour == colour] for colour in colours] if apart else [list(lines)]
    rows, starts = len(groups), first_steps(len(history))
    columns = len(starts)
    figure = new_figure(WIDTH if columns == 1 else 5.0 * columns, HEIGHT if rows == 1 else 3.2 * rows, title)
    handles = {}
    for panel_row, group in zip(figure.subplots(rows, columns, squeeze=False), groups, strict=True):
        for panel, first in zip(panel_row, starts, strict=True):
            for line in group:
                _draw(panel, history[first:], line)
            tidy(panel, "epoch", f"{group[0].colour}'s {y_label}" if apart else y_label)
            panel.xaxis.get_major_locator().set_params(integer=True)
            if columns > 1:
                words = f"epoch {history[first]['epoch']:g}" if first else "the untrained model"
                panel.set_title(f"from {words} on", fontsize=10)
            handles |= {label: handle for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    add_legend(figure, handles.values(), handles, columns=len(handles) if len(handles) < 4 else 2)
    return figure


def first_steps(count: int) -> tuple[int, ...]:
    """Return the index at which each panel begins: 0, and a later one if there are more than two steps.

    It does not depend on the values, so that the pictures of several training runs have the same layout.

    >>> first_steps(2), first_steps(4), first_steps(21)
    ((0,), (0, 1), (0, 2))
    """
    return (0, max(1, count // 10)) if count > 2 else (0,)


def _draw(panel: Axes, history: History, line: Curve) -> None:
    points = [(row["epoch"], line.factor * row[line.column]) for row in history if line.column in row]
    epochs, values = zip(*points, strict=True) if points else ((), ())
    style = {"linestyle": "--" if line.dashed else "-", **_markers(len(points))}
    panel.plot(epochs, values, color=COLOURS[line.colour], label=line.label, **style)


def _markers(points: int) -> dict[str, Any]:
    return {"marker": "o" if points < MOST_MARKERS else "", "markersize": 3}


def curves_over_iterations(
    panels: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]],
    *,
    title: str,
    label: str,
    mark: float | None = None,
    lowest: float | None = None,
) -> Figure:
    """Return one panel per heading, with one curve per configuration on a logarithmic scale from `lowest` on.

    A dotted line at iteration `mark` shows the end of annealing. Earlier curves are wider, so that no curve hides them.
    """
    figure = new_figure(10.0, title=title)
    places = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (heading, curves) in zip(places, panels.items(), strict=True):
        styles = product(LINE_STYLES, CLASS_COLOURS[1:])
        widths = range(len(curves), 0, -1)
        for (style, colour), (name, points), width in zip(cycle(styles), curves.items(), widths, strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, linestyle=style, label=name, linewidth=0.7 + width / 2)
        if mark is not None:
            axes.axvline(mark, color=COLOURS["real"], linestyle=":", label="end of annealing")
        axes.set_yscale("log")
        if lowest:
            axes.set_ylim(lowest, 2 * max(value for points in curves.values() for _, value in points))
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
        places, colour = range(len(found)), COLOURS[name]
        values, errors = zip(*found.values(), strict=True)
        axes.errorbar(places, values, yerr=errors, fmt="o-", color=colour, capsize=3, label=f"{name}: flow")
        axes.axhline(floors[name], color=colour, linestyle="--", label=f"{name}: entropy {floors[name]:.3f}")
        for point in enumerate(values):
            label_point(axes, f"{point[1]:.3f}", point, (7, 7))
        axes.set_xticks(places, [str(k) for k in found])
    axes.margins(x=0.12, y=0.12)
    tidy(axes, "planar layers", label)
    add_legend(figure)
    return figure


@dataclass(frozen=True)
class ScoresOverTraining:
    """The scores of one experiment's snapshots: generator updates, and the critic's metric and FID at each."""

    heading: str
    updates: Sequence[float]
    metric: Sequence[float]
    metric_label: str
    metric_range: tuple[float, float] | None
    """The range of the metric's true values, which the axis shows at least; None if they have no bounds."""
    fid: Sequence[float]
    fid_label: str


def metric_and_fid(experiments: Sequence[ScoresOverTraining], title: str) -> Figure:
    """Return one panel per experiment, with the metric on the left axis and the FID on the right axis.

    All right axes have the same range.
    """
    columns = min(len(experiments), PANELS_PER_ROW)
    rows = -(-len(experiments) // columns)
    figure = new_figure(4.4 * max(columns, 1.4), 3.2 * rows + 0.6, title)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[len(experiments) :]:
        unused.set_visible(False)
    highest = max(value for scores in experiments for value in scores.fid)
    for axes, scores in zip(panels, experiments, strict=False):
        _draw_scores(axes, scores, highest)
    return figure


def _draw_scores(left: Axes, scores: ScoresOverTraining, highest_fid: float) -> None:
    right, markers = left.twinx(), _markers(len(scores.updates))
    left.plot(scores.updates, scores.metric, color=COLOURS["metric"], **markers)
    right.plot(scores.updates, scores.fid, color=COLOURS["fid"], linestyle="--", **markers)
    tidy(left, "updates of the generator", scores.metric_label)
    right.set_ylabel(scores.fid_label)
    right.spines["top"].set_visible(False)
    right.set_ylim(0, HEADROOM * highest_fid)
    if scores.metric_range:
        low, high = scores.metric_range
        left.set_ylim(min(low, *scores.metric), HEADROOM * max(high, *scores.metric))
    for axes, colour in ((left, COLOURS["metric"]), (right, COLOURS["fid"])):
        axes.yaxis.label.set_color(colour)
        axes.tick_params(axis="y", colors=colour)
    left.set_title(scores.heading, fontsize=10)

"""Phase portraits: the trajectories of two players in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

SIDE = 2.1  # inches of a panel


@dataclass(frozen=True)
class Trajectory:
    """One game: its points (n, 2), its heading, and the name of its colour."""

    heading: str
    points: np.ndarray
    colour: str


def phase_portraits(
    rows: Sequence[Sequence[Trajectory]], *, title: str, x_label: str, y_label: str, reach: float
) -> Figure:
    """Return one panel per game over |x|, |y| <= `reach`, with a ring at the start, a dot at the end, a cross at 0."""
    figure = new_figure(SIDE * max(map(len, rows)), SIDE * 1.1 * len(rows) + 0.7)
    places = figure.subplots(len(rows), max(map(len, rows)), squeeze=False, sharex=True, sharey=True)
    for axes_row, row in zip(places, rows, strict=True):
        for axes, path in zip(axes_row, row, strict=True):
            axes.plot(0, 0, "+", color=COLOURS["real"], markersize=12, zorder=1)
            axes.plot(*path.points.T, color=COLOURS[path.colour], linewidth=0.6, alpha=0.7, zorder=2)
            axes.plot(*path.points[0], "o", color="black", markerfacecolor="white", markersize=5, zorder=3)
            axes.plot(*path.points[-1], "o", color="black", markersize=4, zorder=4)
            axes.set_title(path.heading, fontsize=9)
            axes.set_xlim(-reach, reach)
            axes.set_ylim(-reach, reach)
            axes.set_aspect("equal")
            axes.tick_params(labelsize=8)
            axes.grid(alpha=0.25, linewidth=0.6)
    for axes in places[-1]:
        axes.set_xlabel(x_label)
    for axes in places[:, 0]:
        axes.set_ylabel(y_label)
    figure.suptitle(title, fontsize=12)
    return figure

"""Densities and points of the plane."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import CLASS_COLOURS, COLOURS, new_figure, tidy

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEVELS = 16  # of a density's colours
MAP, ROOM = "viridis", 0.7  # inches below and above the panels
PANEL = (3.0, 2.1)  # inches


@dataclass(frozen=True)
class Panel:
    """A density on a grid, points, or both."""

    heading: str
    density: np.ndarray | None = None
    """(rows of z2, columns of z1)."""
    points: np.ndarray | None = None
    """(n, 2)."""


def panels(
    rows: Sequence[Sequence[Panel]], *, sides: tuple[float, float], title: str, note: str = "", bar: str = ""
) -> Figure:
    """Rows of panels over |z1|, |z2| up to `sides`, densities on one scale of colours, explained by a `bar`."""
    import numpy as np

    figure = new_figure(PANEL[0] * max(map(len, rows)) + 0.6 * bool(bar), PANEL[1] * len(rows) + ROOM)
    places = figure.subplots(len(rows), max(map(len, rows)), squeeze=False)
    true = [row[0].density for row in rows if row[0].density is not None]
    highest = max((float(density.max()) for density in true), default=1.0)
    levels = np.linspace(0, highest, LEVELS)
    drawn = None
    for axes_row, row in zip(places, rows, strict=True):
        for axes, panel in zip(axes_row, row, strict=True):
            if panel.density is not None:
                drawn = axes.imshow(
                    np.digitize(panel.density, levels[1:]) / (LEVELS - 1) * highest, cmap=MAP if bar else "Greys",
                    vmin=0, vmax=highest * (1 if bar else 1.6), extent=_extent(sides), origin="lower",
                    interpolation="nearest",
                )  # fmt: skip
            if panel.points is not None:
                axes.plot(*panel.points.T, ".", color=COLOURS["points"], markersize=2.2, markeredgewidth=0, alpha=0.6)
            _frame(axes, sides)
            axes.set_title(panel.heading, fontsize=10)
    _label_outer(places)
    if bar and drawn is not None:
        figure.colorbar(drawn, ax=places, label=bar, shrink=0.8)
    figure.suptitle(title, fontsize=12)
    if note:
        figure.supxlabel(note, fontsize=9)
    return figure


def moved(
    panels: Sequence[tuple[str, np.ndarray]],
    *,
    colours: np.ndarray,
    sides: tuple[float, float],
    title: str,
    columns: int,
) -> Figure:
    """The same points (n, 2) after different maps, each point in its own colour throughout."""
    rows = -(-len(panels) // columns)
    figure = new_figure(PANEL[0] * columns, 3.0 * rows + ROOM)
    places = figure.subplots(rows, columns, squeeze=False)
    for axes, (heading, points) in zip(places.flat, panels, strict=True):
        axes.scatter(*points.T, c=colours, cmap=MAP, s=2.5, linewidths=0)
        _frame(axes, sides)
        axes.set_title(heading, fontsize=9)
    _label_outer(places)
    figure.suptitle(title, fontsize=12)
    return figure


def _extent(sides: tuple[float, float]) -> tuple[float, float, float, float]:
    return -sides[0], sides[0], -sides[1], sides[1]


def _frame(axes: Axes, sides: tuple[float, float]) -> None:
    axes.set_xlim(-sides[0], sides[0])
    axes.set_ylim(-sides[1], sides[1])
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)


def _label_outer(places: np.ndarray) -> None:
    for axes in places[-1]:
        axes.set_xlabel("$z_1$")
    for axes in places[:, 0]:
        axes.set_ylabel("$z_2$")


def over_iterations(
    lines: Mapping[str, Mapping[str, Sequence[tuple[float, float]]]], *, title: str, label: str, mark: float | None
) -> Figure:
    """A panel a density: curves over the iterations, on a logarithmic scale, one a configuration.

    The dotted line at iteration `mark` shows where annealing ends.
    """
    figure = new_figure(10.0)
    places = figure.subplots(1, len(lines), sharey=True, squeeze=False)[0]
    for axes, (heading, curves) in zip(places, lines.items(), strict=True):
        for colour, (name, points) in zip(CLASS_COLOURS[1:], curves.items(), strict=False):
            axes.plot(*zip(*points, strict=True), color=colour, label=name, linewidth=1.3)
        if mark is not None:
            axes.axvline(mark, color=COLOURS["real"], linestyle=":", label="end of annealing")
        axes.set_yscale("log")
        axes.set_title(heading, fontsize=10)
        tidy(axes, "iteration", label if axes is places[0] else "")
        axes.legend(frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12)
    return figure


def against_layers(
    lines: Mapping[str, Mapping[int, tuple[float, float]]], floors: Mapping[str, float], title: str, label: str
) -> Figure:
    """Value and standard error of each density over the number of layers, beside the level that none can be below."""
    figure = new_figure()
    axes = figure.subplots()
    for colour, (name, found) in zip(("arcs", "sine"), lines.items(), strict=False):
        values, errors = zip(*found.values(), strict=True)
        axes.errorbar(
            range(len(found)), values, yerr=errors, fmt="o-", color=COLOURS[colour], capsize=3, label=f"{name}: flow"
        )
        axes.axhline(floors[name], color=COLOURS[colour], linestyle="--", label=f"{name}: entropy {floors[name]:.3f}")
        for place, value in enumerate(values):
            axes.annotate(f"{value:.3f}", (place, value), xytext=(7, 7), textcoords="offset points", fontsize=9)
        axes.set_xticks(range(len(found)), [str(k) for k in found])
    axes.margins(x=0.12, y=0.12)
    tidy(axes, "planar layers", label)
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    figure.suptitle(title, fontsize=12)
    return figure

"""Densities and points of the plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from triptych.figures.style import COLOURS, INK, new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import LinearSegmentedColormap
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

LEVELS = 16  # of the colour scale
COLOUR_MAP = "viridis"
PANELS_PER_ROW = 3  # of transformed points
WIDTH, HEIGHT = 3.0, 2.1  # inches per panel
MARGINS = 0.7  # inches above and below the panels


@dataclass(frozen=True)
class Panel:
    """A density on a grid, points, or both."""

    heading: str
    density: np.ndarray | None = None
    """(rows of z2, columns of z1)."""
    points: np.ndarray | None = None
    """(n, 2)."""


def density_panels(
    rows: Sequence[Sequence[Panel]], *, sides: tuple[float, float], title: str, note: str = "", bar: str = ""
) -> Figure:
    """Return rows of panels for |z1| and |z2| up to `sides`; all densities share one colour scale.

    `bar` labels the colour bar. Without it, densities are grey.
    """
    columns = max(map(len, rows))
    figure = new_figure(WIDTH * columns + 0.6 * bool(bar), HEIGHT * len(rows) + MARGINS, title)
    places = figure.subplots(len(rows), columns, squeeze=False)
    highest = max((float(row[0].density.max()) for row in rows if row[0].density is not None), default=1.0)
    image = None
    for axes_row, row in zip(places, rows, strict=True):
        for axes, panel in zip(axes_row, row, strict=True):
            if panel.density is not None:
                image = _draw_density(axes, panel.density, highest, sides, coloured=bool(bar))
            if panel.points is not None:
                axes.plot(*panel.points.T, ".", color=COLOURS["points"], markersize=2.2, markeredgewidth=0, alpha=0.6)
            _finish(axes, sides, panel.heading, 10)
    _label_outer(places)
    if bar and image is not None:
        figure.colorbar(image, ax=places, label=bar, shrink=0.8)
    if note:
        figure.supxlabel(note, fontsize=9)
    return figure


def _draw_density(
    axes: Axes, density: np.ndarray, highest: float, sides: tuple[float, float], *, coloured: bool
) -> AxesImage:
    """Draw a density in `LEVELS` levels from 0 to `highest`."""
    levels = np.linspace(0, highest, LEVELS)
    shown = np.digitize(density, levels[1:]) / (LEVELS - 1) * highest
    extent = (-sides[0], sides[0], -sides[1], sides[1])
    scale = {"cmap": COLOUR_MAP, "vmax": highest} if coloured else {"cmap": _transparent_to_grey(), "vmax": highest}
    return axes.imshow(shown, vmin=0, extent=extent, origin="lower", interpolation="nearest", **scale)


def _transparent_to_grey() -> LinearSegmentedColormap:
    """Return a colour map for the background of points, on a white or a black page."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("density", [f"{INK}00", f"{INK}A0"])


def transformed_points(
    panels: Sequence[tuple[str, np.ndarray]], *, colours: np.ndarray, sides: tuple[float, float], title: str
) -> Figure:
    """Return one panel per transformation of the same points (n, 2); a point has the same colour in all panels."""
    rows = -(-len(panels) // PANELS_PER_ROW)
    figure = new_figure(WIDTH * PANELS_PER_ROW, 3.2 * rows + MARGINS, title)
    places = figure.subplots(rows, PANELS_PER_ROW, squeeze=False)
    for axes, (heading, points) in zip(places.flat, panels, strict=True):
        axes.scatter(*points.T, c=colours, cmap=COLOUR_MAP, s=2.5, linewidths=0)
        _finish(axes, sides, heading, 9)
    _label_outer(places)
    return figure


def _finish(axes: Axes, sides: tuple[float, float], heading: str, size: int) -> None:
    axes.set_title(heading, fontsize=size)
    axes.set_xlim(-sides[0], sides[0])
    axes.set_ylim(-sides[1], sides[1])
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)


def _label_outer(places: np.ndarray) -> None:
    for axes in places[-1]:
        axes.set_xlabel("$z_1$")
    for axes in places[:, 0]:
        axes.set_ylabel("$z_2$")

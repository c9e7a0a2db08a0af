"""What a critic estimates and FID, over training, on two axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.4, 3.2  # inches of a panel
PANELS_A_ROW = 3
HEADROOM = 1.08  # of the axis over the largest FID


@dataclass(frozen=True)
class Panel:
    """One experiment's snapshots: updates, the critic's estimate, and FID at each."""

    heading: str
    updates: Sequence[float]
    metric: Sequence[float]
    metric_label: str
    fid: Sequence[float]
    fid_label: str


def twins(panels: Sequence[Panel], title: str) -> Figure:
    """A panel an experiment: the estimate on the left axis, FID on the right one, each in its own colour."""
    columns = min(len(panels), PANELS_A_ROW)
    rows = -(-len(panels) // columns)
    figure = new_figure(WIDTH * max(columns, 1.4), HEIGHT * rows + 0.6)
    places = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes in places[len(panels) :]:
        axes.set_visible(False)
    for axes, panel in zip(places, panels, strict=False):
        style = {"marker": "o" if len(panel.updates) < 25 else "", "markersize": 3}
        right = axes.twinx()
        axes.plot(panel.updates, panel.metric, color=COLOURS["metric"], **style)
        right.plot(panel.updates, panel.fid, color=COLOURS["fid"], linestyle="--", **style)
        tidy(axes, "updates of the generator", panel.metric_label)
        right.set_ylabel(panel.fid_label)
        right.spines["top"].set_visible(False)
        right.set_ylim(0, HEADROOM * max(panel.fid))
        for side, colour in ((axes, "metric"), (right, "fid")):
            side.yaxis.label.set_color(COLOURS[colour])
            side.tick_params(axis="y", colors=COLOURS[colour])
        axes.set_title(panel.heading, fontsize=10)
    figure.suptitle(title, fontsize=12)
    return figure

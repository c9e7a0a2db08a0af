"""The critic's metric and the FID over training, on two y-axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from triptych.figures.style import COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH, HEIGHT = 4.4, 3.2  # inches per panel
PANELS_PER_ROW = 3
HEADROOM = 1.08  # upper end of the FID axis, relative to the largest FID
MOST_MARKERS = 25  # from this number of snapshots on, lines have no markers


@dataclass(frozen=True)
class ScoresOverTraining:
    """The scores of one experiment's snapshots: generator updates, and the critic's metric and FID at each."""

    heading: str
    updates: Sequence[float]
    metric: Sequence[float]
    metric_label: str
    fid: Sequence[float]
    fid_label: str


def metric_and_fid(experiments: Sequence[ScoresOverTraining], title: str) -> Figure:
    """Return one panel per experiment, with the metric on the left axis and the FID on the right axis."""
    columns = min(len(experiments), PANELS_PER_ROW)
    rows = -(-len(experiments) // columns)
    figure = new_figure(WIDTH * max(columns, 1.4), HEIGHT * rows + 0.6, title)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for unused in panels[len(experiments) :]:
        unused.set_visible(False)
    for axes, scores in zip(panels, experiments, strict=False):
        _draw(axes, scores)
    return figure


def _draw(left: Axes, scores: ScoresOverTraining) -> None:
    marker = {"marker": "o" if len(scores.updates) < MOST_MARKERS else "", "markersize": 3}
    right = left.twinx()
    left.plot(scores.updates, scores.metric, color=COLOURS["metric"], **marker)
    right.plot(scores.updates, scores.fid, color=COLOURS["fid"], linestyle="--", **marker)
    tidy(left, "updates of the generator", scores.metric_label)
    right.set_ylabel(scores.fid_label)
    right.spines["top"].set_visible(False)
    right.set_ylim(0, HEADROOM * max(scores.fid))
    for axes, colour in ((left, COLOURS["metric"]), (right, COLOURS["fid"])):
        axes.yaxis.label.set_color(colour)
        axes.tick_params(axis="y", colors=colour)
    left.set_title(scores.heading, fontsize=10)

"""The pictures of the Dirac games, M2.6: phase portraits, and distances from the equilibrium."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor

from triptych.figures.curves import curves_over_iterations
from triptych.figures.style import COLOURS, INK, new_figure, save
from triptych.studies.base import StudyEvaluation
from triptych.studies.dirac.measure import REACHED
from triptych.studies.dirac.settings import Penalty
from triptych.studies.dirac.training import Configuration, configurations
from triptych.training.weights import load_tensors

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIDE = 2.1  # inches of a panel


def draw_pictures(evaluation: StudyEvaluation, numbers: Mapping[str, Any]) -> None:
    """Draw the phase portraits, and the distances from the equilibrium over the iterations."""
    by_name = configurations(evaluation.settings)
    groups: dict[str, list[str]] = {}
    for name, item in by_name.items():
        loss = item.loss.upper()
        groups.setdefault(f"{loss}, averaged generator" if item.averaged else loss, []).append(name)
    _draw_portraits(evaluation, numbers, by_name, list(groups.values()))
    _draw_distances(evaluation, by_name, groups)


def _draw_portraits(
    evaluation: StudyEvaluation,
    numbers: Mapping[str, Any],
    by_name: Mapping[str, Configuration],
    rows: Sequence[Sequence[str]],
) -> None:
    """Draw one panel per game and one row per group of games."""
    tensors = load_tensors(evaluation.weights)
    trajectories = {name: tensors[f"{name}/trajectory"][:, [3, 0]] for name in by_name}
    reach = 1.08 * max(float(points.abs().max()) for points in trajectories.values())
    columns = max(map(len, rows))
    figure = new_figure(SIDE * columns, SIDE * 1.2 * len(rows) + 0.7)
    places = figure.subplots(len(rows), columns, squeeze=False, sharex=True, sharey=True)
    for axes_row, names in zip(places, rows, strict=True):
        for axes, name in zip(axes_row, names, strict=True):
            item, verdict = by_name[name], numbers[name]["verdict"]
            _draw_trajectory(axes, trajectories[name], COLOURS[item.loss], reach)
            outcome = f"averaged; game {verdict}" if item.averaged else verdict
            axes.set_title(f"{name}: {_describe(item.penalty)}\n{outcome}", fontsize=9)
        averaged = by_name[names[0]].averaged
        axes_row[0].set_ylabel(r"$\psi_0$")
        for axes in axes_row:
            axes.set_xlabel(r"moving average of $\theta$" if averaged else r"$\theta$", fontsize=9)
    title = f"{_games(evaluation)}: the critic's slope over the generator's place, from the ring to the dot"
    figure.suptitle(title, fontsize=12)
    save(figure, evaluation.folder / "M2.6-trajectories.png")


def _draw_trajectory(axes: Axes, points: Tensor, colour: str, reach: float) -> None:
    """Draw points (n, 2) over |x|, |y| <= `reach`, with a ring at the start, a dot at the end, and a cross at 0."""
    start, end = points[0].tolist(), points[-1].tolist()
    axes.plot(0, 0, "+", color=COLOURS["real"], markersize=12, zorder=1)
    axes.plot(*points.numpy().T, color=colour, linewidth=0.6, alpha=0.7, zorder=2)
    axes.plot(*start, "o", color=INK, markerfacecolor="none", markersize=5, zorder=3)
    axes.plot(*end, "o", color=INK, markersize=4, zorder=4)
    axes.set_xlim(-reach, reach)
    axes.set_ylim(-reach, reach)
    axes.set_aspect("equal")
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25, linewidth=0.6)


def _draw_distances(
    evaluation: StudyEvaluation, by_name: Mapping[str, Configuration], groups: Mapping[str, list[str]]
) -> None:
    lines = {
        group: {
            _describe(by_name[name].penalty): [
                (row["iteration"], row[f"{name}.distance"]) for row in evaluation.history if row[f"{name}.distance"]
            ]
            for name in names
        }
        for group, names in groups.items()
        if not by_name[names[0]].averaged
    }
    title = f"{_games(evaluation)}: distance from the equilibrium"
    label, lowest = r"|($\psi_0$, $\theta$)|", REACHED / 10
    figure = curves_over_iterations(lines, title=title, label=label, lowest=lowest)
    save(figure, evaluation.folder / "M2.6-distance.png")


def _games(evaluation: StudyEvaluation) -> str:
    with_loss = {"metric": "", "non_saturating": ", non-saturating loss"}
    return f"Dirac games{with_loss[evaluation.settings.generator_loss]}"


def _describe(penalty: Penalty) -> str:
    names = {"none": "no penalty", "r1gp": f"R1 {penalty.reg_cf:g}", "ogp": f"one-centred {penalty.reg_cf:g}"}
    return names[penalty.reg_type]

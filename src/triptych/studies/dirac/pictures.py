"""The pictures of the Dirac games, M2.6."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triptych.figures.curves import curves_over_iterations
from triptych.figures.style import save, save_reduced
from triptych.studies.dirac.phase_portraits import Trajectory, phase_portraits
from triptych.studies.dirac.training import configurations
from triptych.training.weights import load_tensors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triptych.studies.base import StudyEvaluation
    from triptych.studies.dirac.settings import Penalty
    from triptych.studies.dirac.training import Configuration


def draw_pictures(evaluation: StudyEvaluation, numbers: Mapping[str, Any]) -> None:
    """Draw the phase portraits, and the distances from the equilibrium over the iterations."""
    by_name = configurations(evaluation.settings)
    groups: dict[str, list[str]] = {}
    for name, item in by_name.items():
        groups.setdefault(f"{item.loss}, averaged generator" if item.averaged else item.loss, []).append(name)
    _draw_portraits(evaluation, numbers, by_name, list(groups.values()))
    _draw_distances(evaluation, by_name, groups)


def _draw_portraits(
    evaluation: StudyEvaluation,
    numbers: Mapping[str, Any],
    by_name: Mapping[str, Configuration],
    groups: list[list[str]],
) -> None:
    trajectories = load_tensors(evaluation.weights)
    rows = [
        [
            Trajectory(
                f"{name}: {_describe(by_name[name].penalty)}\n"
                + ("averaged; game " if by_name[name].averaged else "")
                + numbers[name]["verdict"],
                trajectories[f"{name}/trajectory"][:, [3, 0]].numpy(),
                by_name[name].loss,
            )
            for name in names
        ]
        for names in groups
    ]
    reach = 1.08 * max(float(abs(path.points).max()) for row in rows for path in row)
    title = "M2.6  Dirac games: the critic's slope over the generator's place, from the ring to the dot"
    figure = phase_portraits(rows, title=title, x_label=r"$\theta$, as judged", y_label=r"$\psi_0$", reach=reach)
    save_reduced(figure, evaluation.folder / "M2.6-trajectories.png")


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
    title = "M2.6  Distance of the Dirac games from their equilibrium"
    figure = curves_over_iterations(lines, title=title, label=r"|($\psi_0$, $\theta$)|", mark=None)
    save(figure, evaluation.folder / "M2.6-distance.png")


def _describe(penalty: Penalty) -> str:
    names = {"none": "no penalty", "r1gp": f"R1 {penalty.reg_cf:g}", "ogp": f"one-centred {penalty.reg_cf:g}"}
    return names[penalty.reg_type]

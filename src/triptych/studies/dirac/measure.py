"""The numbers of the Dirac games, M2.6: a verdict on each trajectory, and the linear theory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from triptych.studies.base import StudyEvaluation
from triptych.studies.dirac.training import configurations, games
from triptych.training.weights import load_tensors

REACHED = 1e-3  # the equilibrium counts as reached below this distance
STEADY = 0.05  # largest relative change of the mean distance of a game that circles
PARTS = 10  # mean distances are over a tenth of the trajectory, at its end and before the last quarter
NUMBERS = {
    "verdict": f"converges: the game ends within {REACHED:g} of the equilibrium psi0 = theta = 0. Otherwise the mean "
    "distance |(psi0, theta)| over the last tenth of the iterations is compared with the mean over the tenth before "
    f"the last quarter. circles: they differ by less than {STEADY:.0%}; decays slowly: the last mean is smaller; moves "
    "away: it is larger",
    "theory": "the verdict of the linear theory, from the modulus m of the step's eigenvalue at the equilibrium, in n "
    f"iterations. converges: m^n is below {REACHED:g}; decays slowly: m is below 1; not decided: m is 1; moves away: m "
    "is above 1; no equilibrium: the penalty has a kink there",
    "eigenvalue.modulus": "m",
    "eigenvalue.angle": "angle of that eigenvalue, in radians per iteration: a round takes 2 pi / angle iterations",
    "start": "distance |(psi0, theta)| before the first iteration",
    "before": "mean distance over the tenth of the iterations before the last quarter",
    "end": "mean distance over the last tenth",
    "generator_distance": "largest |theta| over the last tenth, of the generator that is judged: in the second half of "
    "a loss's configurations, its moving average",
}


def measure(evaluation: StudyEvaluation) -> dict[str, object]:
    """Return verdict, theory, eigenvalue and distances from the equilibrium of each game."""
    trajectories = load_tensors(evaluation.weights)
    names = configurations(evaluation.settings)
    eigenvalues = games(evaluation.settings).eigenvalues()
    numbers = {
        name: _measure_game(trajectories[f"{name}/trajectory"], eigenvalue)
        for name, eigenvalue in zip(names, eigenvalues, strict=True)
    }
    return {**numbers, "headline": "verdict", "headline_is": "verdict on the game", "numbers_are": NUMBERS}


def headline_numbers(games: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the number of games whose distance from the equilibrium shrinks."""
    return {"stable": sum(game["verdict"] in ("converges", "decays slowly") for game in games)}


def _measure_game(trajectory: Tensor, eigenvalue: complex | None) -> dict[str, object]:
    psi0, _, theta, evaluated = trajectory.T
    distance, iterations = torch.hypot(psi0, theta), len(trajectory) - 1
    span = max(1, iterations // PARTS)
    before, end = float(distance[: iterations * 3 // 4 + 1][-span:].mean()), float(distance[-span:].mean())
    numbers: dict[str, object] = {
        "verdict": verdict(before, end, float(distance[-span:].max())),
        "theory": theory(eigenvalue, iterations),
    }
    if eigenvalue is not None:
        angle = torch.tensor(eigenvalue).angle().abs()
        numbers["eigenvalue"] = {"modulus": abs(eigenvalue), "angle": float(angle)}
    distances = {"start": float(distance[0]), "before": before, "end": end}
    return numbers | distances | {"generator_distance": float(evaluated[-span:].abs().max())}


def verdict(before: float, end: float, farthest: float) -> str:
    """Return the verdict on a game from its mean distances and its farthest distance at the end.

    >>> verdict(before=1.0, end=0.99, farthest=1.1)
    'circles'
    """
    if farthest < REACHED:
        return "converges"
    if abs(end / before - 1) < STEADY:
        return "circles"
    return "decays slowly" if end < before else "moves away"


def theory(eigenvalue: complex | None, iterations: int) -> str:
    """Return the verdict of the linear theory after so many iterations.

    >>> theory(0.99 + 0j, iterations=5000)
    'converges'
    """
    if eigenvalue is None:
        return "no equilibrium"
    if abs(eigenvalue) > 1 - 1e-9:
        return "not decided" if abs(eigenvalue) < 1 + 1e-9 else "moves away"
    return "converges" if abs(eigenvalue) ** iterations < REACHED else "decays slowly"

"""The verdicts on Dirac games, M2.6: what each trajectory did, beside what the linearised step says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.studies.dirac.training import configurations, games
from triptych.training.weights import load_tensors

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.studies.base import StudyEvaluation

REACHED = 1e-3  # distance at which the equilibrium counts as reached
STEADY = 0.05  # share by which the distance of a game that circles may still change
LAST = 10  # a tenth of the trajectory is looked at, at its end and before the last quarter
NUMBERS = {
    "verdict": "converges: the game ends within "
    f"{REACHED:g} of the equilibrium psi0 = theta = 0; circles: the mean of |(psi0, theta)| over the last tenth of the "
    f"iterations is that over the tenth before the last quarter, to {STEADY:.0%}; decays slowly: it is less; moves "
    "away: it is more",
    "theory": "the same from the eigenvalue of the step at the equilibrium, of modulus m, in n iterations: converges "
    f"where m^n is below {REACHED:g}, decays slowly where m is below 1; not decided by the linear part where m is 1; "
    "no equilibrium where the penalty has a kink there",
    "eigenvalue.modulus": "m",
    "eigenvalue.angle": "of that eigenvalue, in radians an iteration: 2 pi over it is the length of a round",
    "start": "|(psi0, theta)| before the first iteration",
    "before": "its mean over the tenth of the iterations before the last quarter",
    "end": "its mean over the last tenth",
    "generator_distance": "the largest |theta| over the last tenth, of the generator that is judged: its moving "
    "average in the second half of a loss's configurations",
}


def measure(evaluation: StudyEvaluation) -> dict[str, object]:
    """Of each game: verdict, theory, eigenvalue, and distances from the equilibrium."""
    trajectories = load_tensors(evaluation.weights)
    kinds = configurations(evaluation.settings)
    eigenvalues = games(evaluation.settings).eigenvalues()
    return {
        **{
            name: _of_one(trajectories[f"{name}/trajectory"], eigenvalue)
            for name, eigenvalue in zip(kinds, eigenvalues, strict=True)
        },
        "headline": "verdict",
        "headline_is": "verdict on the game",
        "numbers_are": NUMBERS,
    }


def _of_one(trajectory: Tensor, eigenvalue: complex | None) -> dict[str, object]:
    psi0, _, theta, judged = trajectory.T
    distance, iterations = torch.hypot(psi0, theta), len(trajectory) - 1
    span = max(1, iterations // LAST)
    before, end = float(distance[: iterations * 3 // 4 + 1][-span:].mean()), float(distance[-span:].mean())
    linear = {} if eigenvalue is None else {"eigenvalue": _polar(eigenvalue)}
    return {
        "verdict": verdict(before, end, float(distance[-span:].max())),
        "theory": theory(eigenvalue, iterations),
        **linear,
        "start": float(distance[0]),
        "before": before,
        "end": end,
        "generator_distance": float(judged[-span:].abs().max()),
    }


def verdict(before: float, end: float, farthest: float) -> str:
    """What a game did, from its mean distances and the farthest at the end."""
    if farthest < REACHED:
        return "converges"
    if abs(end / before - 1) < STEADY:
        return "circles"
    return "decays slowly" if end < before else "moves away"


def theory(eigenvalue: complex | None, iterations: int) -> str:
    """What the step's linear part at the equilibrium says of so many iterations."""
    if eigenvalue is None:
        return "no equilibrium"
    if abs(eigenvalue) > 1 - 1e-9:
        return "not decided" if abs(eigenvalue) < 1 + 1e-9 else "moves away"
    return "converges" if abs(eigenvalue) ** iterations < REACHED else "decays slowly"


def _polar(value: complex) -> dict[str, float]:
    angle = torch.tensor(value).angle().abs()
    return {"modulus": abs(value), "angle": float(angle)}

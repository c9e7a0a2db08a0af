"""The numbers of the studies, for flows and games whose numbers are known."""

from __future__ import annotations

import math
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from torch.special import ndtr

from triptych.settings.params import Settings, parse
from triptych.studies.base import StudyEvaluation
from triptych.studies.dirac import measure as dirac
from triptych.studies.dirac.settings import Penalty
from triptych.studies.planar import measure as planar
from triptych.studies.planar.densities import DENSITIES, STEP, grid
from triptych.studies.settings import StudySettings
from triptych.training.weights import save_tensors

STRETCH = 1.5
SHIFT = 0.5 + STRETCH * math.tanh(0.5)  # the map below is 0 at -0.5
FLOW = {  # the first layer stretches z1, and the second one shifts it
    "u": torch.tensor([[STRETCH, 0.0], [SHIFT, 0.0]]),
    "w": torch.tensor([[1.0, 0.0], [0.0, 0.0]]),
    "b": torch.tensor([[0.0], [50.0]]),
}


def mapped(z: Tensor) -> Tensor:
    """Return the first coordinate after the flow, from the first coordinate. The flow does not change the second."""
    return z + STRETCH * z.tanh() + SHIFT


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(params)


def numbers_of(measures: ModuleType, settings: StudySettings, tensors: dict[str, Tensor], folder: Path) -> dict:
    save_tensors(folder / "weights.safetensors", tensors)
    return measures.measure(StudyEvaluation(settings, folder / "weights.safetensors", [], folder))


def numbers_of_flow(settings: StudySettings, density: str, folder: Path) -> dict:
    settings = settings.model_copy(update={"densities": [density], "layers": [2]})
    name = f"{density}-k2"
    tensors = {f"{name}/{part}": value for part, value in FLOW.items()}
    return numbers_of(planar, settings, tensors, folder)[name]


def is_near(value: float, exact: float, standard_error: float) -> bool:
    return standard_error < 0.1 and abs(value - exact) < 5 * standard_error


@pytest.mark.parametrize("density", DENSITIES)
def test_a_flow_fitted_to_samples_has_the_numbers_of_its_known_density(
    settings: Settings, tmp_path: Path, density: str
) -> None:
    """q is N(f(x); 0, I) |det df/dx|, with the determinant by autograd. Expectations under p are by quadrature."""
    x = grid().requires_grad_()
    z = torch.stack([mapped(x[:, 0]), x[:, 1]], 1)
    (slopes,) = torch.autograd.grad(z[:, 0].sum(), x)
    x, z = x.detach(), z.detach()
    log_q = MultivariateNormal(torch.zeros(2).double(), torch.eye(2).double()).log_prob(z) + slopes[:, 0].log()
    p = (-DENSITIES[density].energy(x)).softmax(0)
    exact = -float((p * log_q).sum())
    entropy = -float((p * (p / STEP**2).log()).sum())
    found = numbers_of_flow(settings.study("planar-samples"), density, tmp_path)
    for data in ("held_out", "training"):
        assert is_near(
            found[data]["negative_log_likelihood"], exact, found[data]["negative_log_likelihood_standard_error"]
        )
    assert found["entropy"] == pytest.approx(entropy, abs=1e-6)
    assert is_near(found["kl"], exact - entropy, found["kl_standard_error"])
    assert found["integral"] == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize("density", DENSITIES)
def test_a_flow_fitted_to_a_density_has_the_numbers_of_its_known_density(
    settings: Settings, tmp_path: Path, density: str
) -> None:
    """q is the mass of N(0, I) between two points, divided by the distance of the mapped points."""
    z = torch.linspace(-6, 6, 1201, dtype=torch.float64)
    ends, masses = mapped(z), ndtr(z).diff()
    (x1, log_q1), (x2, log_q2) = (((to[1:] + to[:-1]) / 2, (masses / to.diff()).log()) for to in (ends, z))
    energy = DENSITIES[density].energy(torch.cartesian_prod(x1, x2)).view(len(x1), len(x2))
    log_z = float((-DENSITIES[density].energy(grid())).exp().sum().log()) + 2 * math.log(STEP)
    exact = float(masses @ (log_q1[:, None] + log_q2 + energy) @ masses)
    found = numbers_of_flow(settings.study("planar-density"), density, tmp_path)
    assert is_near(found["loss"], exact, found["loss_standard_error"])
    assert is_near(found["kl"], exact + log_z, found["kl_standard_error"])
    if density == "arcs":
        assert found["share_on_left_arc"] == pytest.approx(float(ndtr(torch.tensor(-0.5))), abs=0.02)


def test_the_numbers_of_a_game_follow_from_its_trajectory(settings: Settings, tmp_path: Path) -> None:
    """The players come nearer at a constant speed: psi0 = 3 s, theta = -4 s, averaged theta = -7 s, s = 1 - t / 200."""
    penalties = [Penalty(reg_type="none"), Penalty(reg_type="r1gp", reg_cf=0.1)]
    game = settings.study("dirac").model_copy(update={"losses": ["w1"], "penalties": penalties, "learning_rate": 0.1})
    s = 1 - torch.arange(101, dtype=torch.float64) / 200
    trajectory = torch.stack([3 * s, torch.full_like(s, 100.0), -4 * s, -7 * s], 1)
    names = [f"w1-{number}" for number in range(1, 5)]
    found = numbers_of(dirac, game, {f"{name}/trajectory": trajectory.clone() for name in names}, tmp_path)
    for name in names:
        assert found[name]["start"] == pytest.approx(5)
        assert found[name]["before"] == pytest.approx(5 * (1 - 70.5 / 200))  # iterations 66 to 75 of 100
        assert found[name]["end"] == pytest.approx(5 * (1 - 95.5 / 200))
        assert found[name]["generator_distance"] == pytest.approx(7 * (1 - 91 / 200))
        assert found[name]["verdict"] == "decays slowly"
    for name, kept in (("w1-1", 1.0), ("w1-2", 0.98), ("w1-3", 1.0), ("w1-4", 0.98)):
        # psi <- kept psi - r theta, then theta <- theta + r psi: the determinant is `kept`
        modulus, trace = math.sqrt(kept), 1 + kept - 0.1**2
        assert found[name]["eigenvalue"]["modulus"] == pytest.approx(modulus, abs=1e-9)
        assert found[name]["eigenvalue"]["angle"] == pytest.approx(math.acos(trace / 2 / modulus), abs=1e-6)

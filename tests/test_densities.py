"""The densities of the plane: energies by hand, constants by quadrature, and samples compared with both."""

from __future__ import annotations

import math

import pytest
import torch

from triptych.studies.planar.densities import BOX, DENSITIES, arcs_energy, grid, sine_energy

NAMES = sorted(DENSITIES)


def test_energies_by_hand() -> None:
    z = torch.tensor([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0], [5.0, 1.0]], dtype=torch.float64)
    for (x, y), arcs, sine in zip(z.tolist(), arcs_energy(z).tolist(), sine_energy(z).tolist(), strict=True):
        mixture = math.exp(-(((x - 2) / 0.6) ** 2) / 2) + math.exp(-(((x + 2) / 0.6) ** 2) / 2)
        assert arcs == pytest.approx(((math.hypot(x, y) - 2) / 0.4) ** 2 / 2 - math.log(mixture), rel=1e-12)
        wall = 2 * max(abs(x) - 4, 0) ** 2
        assert sine == pytest.approx(((y - math.sin(2 * math.pi * x / 4)) / 0.4) ** 2 / 2 + wall, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize(("name", "log_normaliser"), [("arcs", 1.878), ("sine", 2.228)])
def test_log_normalisers(name: str, log_normaliser: float) -> None:
    density = DENSITIES[name]
    assert density.log_normaliser() == pytest.approx(log_normaliser, abs=5e-4)
    finer = float((-density.energy(grid(0.02, (9.0, 6.0)))).logsumexp(0)) + 2 * math.log(0.02)
    assert density.log_normaliser() == pytest.approx(finer, abs=1e-5)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_everywhere(name: str, dtype: torch.dtype) -> None:
    places = [0.0, 1e-30, -2.0, 4.0, -60.0, 1e6, -1e12]
    z = torch.cartesian_prod(*[torch.tensor(places, dtype=dtype)] * 2).requires_grad_()
    energy = DENSITIES[name].energy(z)
    (gradient,) = torch.autograd.grad(energy.sum(), z)
    assert energy.isfinite().all()
    assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_samples_follow_the_density(name: str) -> None:
    density, count = DENSITIES[name], 50_000
    draws = density.sample(count, torch.Generator().manual_seed(1))
    assert draws.shape == (count, 2)
    points = grid()
    weights = (-density.energy(points)).softmax(0)
    for statistic in (
        lambda z: z,
        torch.square,
        lambda z: z.prod(1, keepdim=True),
        lambda z: density.energy(z)[:, None],
    ):
        wanted, found = (weights[:, None] * statistic(points)).sum(0), statistic(draws)
        assert ((found.mean(0) - wanted).abs() <= 5 * found.std(0) / math.sqrt(count)).all()
    surprise = density.energy(draws) + density.log_normaliser()
    assert float(surprise.mean()) == pytest.approx(density.entropy(), abs=5 * float(surprise.std()) / math.sqrt(count))
    assert (density.energy(points) >= density.floor).all()


def test_samples_depend_on_the_seed_only() -> None:
    first, second, other = (DENSITIES["arcs"].sample(100, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert (first.abs() < torch.tensor(BOX)).all()
    many = DENSITIES["arcs"].sample(50_000, torch.Generator().manual_seed(3))
    assert float((many[:, 0] < 0).double().mean()) == pytest.approx(0.5, abs=0.012)

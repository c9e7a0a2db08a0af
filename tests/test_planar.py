"""The planar transformation against autograd and by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.objectives import get_logdet, planar_transformation
from triptych.objectives.planar import MARGIN, invertible, planar_flow

SEEDS = st.integers(0, 2**32 - 1)


def layer(d: int, seed: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    u, w, b = (scale * torch.randn(size, generator=source, dtype=torch.float64) for size in (d, d, 1))
    return u, w, b


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return 2 * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(n=st.integers(1, 4), d=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_the_lemma_gives_autograds_determinant(n: int, d: int, seed: int, scale: float) -> None:
    u, w, b = layer(d, seed, scale)
    z = points(n, d, seed + 1)
    for u_used in (u, invertible(u, w)):
        jacobian = torch.autograd.functional.jacobian(lambda row, u=u_used: planar_transformation(row, u, w, b), z[0])
        found = get_logdet(z, u_used, w, b)
        assert found.shape == (n,)
        assert found[0].exp().item() == pytest.approx(torch.linalg.det(jacobian).abs().item(), rel=1e-8, abs=1e-10)


def test_by_hand() -> None:
    z, u, w, b = (torch.tensor(values) for values in ([[1.0, 2.0]], [0.5, -1.0], [2.0, 1.0], [-3.0]))
    h = math.tanh(1.0)
    assert planar_transformation(z, u, w, b)[0].tolist() == pytest.approx([1 + 0.5 * h, 2 - h])
    assert get_logdet(z, u, w, b).item() == pytest.approx(0.0, abs=1e-6)  # w'u = 0


@given(d=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([1e-3, 1.0, 20.0]))
def test_invertible_layers_are(d: int, seed: int, scale: float) -> None:
    u, w, b = layer(d, seed, scale)
    u = invertible(u, w)
    assert (w * u).sum() >= -(1 - MARGIN) - 1e-9
    line = torch.linspace(-40, 40, 2001, dtype=torch.float64)[:, None] * w / w.norm() / max(scale, 1.0)
    along = planar_transformation(line, u, w, b) @ w
    assert (along.diff() >= -1e-9).all()


@given(d=st.integers(1, 6), seed=SEEDS)
def test_the_constraint_moves_u_along_w_alone_and_leaves_zero(d: int, seed: int) -> None:
    u, w, _ = layer(d, seed)
    moved = invertible(u, w) - u
    assert torch.allclose(moved - (moved @ w) / (w @ w) * w, torch.zeros(d, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(invertible(torch.zeros_like(u), w), torch.zeros_like(u), atol=1e-12)
    tiny = invertible(u, w * 1e-6)
    assert (tiny - u).norm() <= u.norm() + 1e-6
    assert invertible(u, torch.zeros_like(w)).tolist() == u.tolist()


@given(k=st.integers(1, 5), d=st.integers(1, 4), seed=SEEDS)
def test_a_flow_is_its_layers_in_turn(k: int, d: int, seed: int) -> None:
    layers = [layer(d, seed + index) for index in range(k)]
    z = points(3, d, seed)
    end, total = planar_flow(z, *(torch.stack(part) for part in zip(*layers, strict=True)))
    expected = torch.zeros(3, dtype=torch.float64)
    for u, w, b in layers:
        expected = expected + get_logdet(z, u, w, b)
        z = planar_transformation(z, u, w, b)
    assert torch.allclose(end, z)
    assert torch.allclose(total, expected)


def test_one_layer_a_point() -> None:
    layers = [layer(3, seed) for seed in range(4)]
    u, w, b = (torch.stack(part) for part in zip(*layers, strict=True))
    z = points(4, 3, 0)
    together, log_det = planar_transformation(z, u, w, b), get_logdet(z, u, w, b)
    for index, (own_u, own_w, own_b) in enumerate(layers):
        own = z[index : index + 1]
        assert torch.allclose(together[index], planar_transformation(own, own_u, own_w, own_b)[0])
        assert torch.allclose(log_det[index], get_logdet(own, own_u, own_w, own_b)[0])


def test_a_planar_density_integrates_to_one() -> None:
    """Draws of the base pushed through the flow, with log q = log N - log det, on a grid found by solving along w."""
    layers = [layer(1, seed, 2.0) for seed in (3, 5)]
    u, w, b = (torch.stack(part) for part in zip(*layers, strict=True))
    u = invertible(u, w)
    z = torch.linspace(-9, 9, 20_001, dtype=torch.float64)[:, None]
    end, log_det = planar_flow(z, u, w, b)
    density = (-z.squeeze(1).square() / 2 - math.log(2 * math.pi) / 2 - log_det).exp()
    assert torch.trapezoid(density, end.squeeze(1)).item() == pytest.approx(1.0, abs=1e-6)


def test_gradients() -> None:
    u, w, b = (torch.stack(part).requires_grad_() for part in zip(layer(3, 1), layer(3, 2), strict=True))
    z = points(2, 3, 0).requires_grad_()

    def flow(z: torch.Tensor, u: torch.Tensor, w: torch.Tensor, b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return planar_flow(z, invertible(u, w), w, b)

    assert torch.autograd.gradcheck(flow, (z, u, w, b))

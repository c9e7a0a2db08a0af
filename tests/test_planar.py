"""The planar transformation and planar flows, compared with autograd, closed forms and values computed by hand."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from triptych.core.errors import TriptychError
from triptych.objectives import get_logdet, loss1, loss2, planar_transformation
from triptych.objectives.planar import MARGIN, gradient_through_invertible, invertible, planar_flow
from triptych.studies.planar.batched_flows import BatchedFlows
from triptych.studies.planar.planar_flow import PlanarFlow, load_planar_flow
from triptych.training.weights import save_tensors

SEEDS = st.integers(0, 2**32 - 1)


def layer(d: int, seed: int, scale: float = 1.0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(seed)
    u, w, b = (scale * torch.randn(size, generator=source, dtype=torch.float64) for size in (d, d, 1))
    return u, w, b


def points(n: int, d: int, seed: int) -> torch.Tensor:
    return 2 * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@given(n=st.integers(1, 4), d=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 5.0]))
def test_the_log_determinant_equals_autograds(n: int, d: int, seed: int, scale: float) -> None:
    u, w, b = layer(d, seed, scale)
    z = points(n, d, seed + 1)
    for u_used in (u, invertible(u, w)):
        jacobian = torch.autograd.functional.jacobian(lambda row, u=u_used: planar_transformation(row, u, w, b), z[0])
        found = get_logdet(z, u_used, w, b)
        assert found.shape == (n,)
        assert found[0].exp().item() == pytest.approx(torch.linalg.det(jacobian).abs().item(), rel=1e-8, abs=1e-10)


def test_values_computed_by_hand() -> None:
    z, u, w, b = (torch.tensor(values) for values in ([[1.0, 2.0]], [0.5, -1.0], [2.0, 1.0], [-3.0]))
    h = math.tanh(1.0)
    assert planar_transformation(z, u, w, b)[0].tolist() == pytest.approx([1 + 0.5 * h, 2 - h])
    assert get_logdet(z, u, w, b).item() == pytest.approx(0.0, abs=1e-6)  # w'u = 0


@given(d=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([1e-3, 1.0, 20.0]))
def test_invertible_layers_are_monotonic_along_w(d: int, seed: int, scale: float) -> None:
    u, w, b = layer(d, seed, scale)
    u = invertible(u, w)
    assert (w * u).sum() >= -(1 - MARGIN) - 1e-9
    line = torch.linspace(-40, 40, 2001, dtype=torch.float64)[:, None] * w / w.norm() / max(scale, 1.0)
    along = planar_transformation(line, u, w, b) @ w
    assert (along.diff() >= -1e-9).all()


@given(d=st.integers(1, 6), seed=SEEDS)
def test_the_constraint_changes_u_along_w_only_and_keeps_zero(d: int, seed: int) -> None:
    u, w, _ = layer(d, seed)
    moved = invertible(u, w) - u
    assert torch.allclose(moved - (moved @ w) / (w @ w) * w, torch.zeros(d, dtype=torch.float64), atol=1e-10)
    assert torch.allclose(invertible(torch.zeros_like(u), w), torch.zeros_like(u), atol=1e-12)
    tiny = invertible(u, w * 1e-6)
    assert (tiny - u).norm() <= u.norm() + 1e-6
    assert invertible(u, torch.zeros_like(w)).tolist() == u.tolist()


@given(k=st.integers(1, 5), d=st.integers(1, 4), seed=SEEDS)
def test_a_flow_equals_its_layers_in_sequence(k: int, d: int, seed: int) -> None:
    layers = [layer(d, seed + index) for index in range(k)]
    z = points(3, d, seed)
    end, total = planar_flow(z, *(torch.stack(part) for part in zip(*layers, strict=True)))
    expected = torch.zeros(3, dtype=torch.float64)
    for u, w, b in layers:
        expected = expected + get_logdet(z, u, w, b)
        z = planar_transformation(z, u, w, b)
    assert torch.allclose(end, z)
    assert torch.allclose(total, expected)


def test_one_layer_per_point() -> None:
    layers = [layer(3, seed) for seed in range(4)]
    u, w, b = (torch.stack(part) for part in zip(*layers, strict=True))
    z = points(4, 3, 0)
    together, log_det = planar_transformation(z, u, w, b), get_logdet(z, u, w, b)
    for index, (own_u, own_w, own_b) in enumerate(layers):
        own = z[index : index + 1]
        assert torch.allclose(together[index], planar_transformation(own, own_u, own_w, own_b)[0])
        assert torch.allclose(log_det[index], get_logdet(own, own_u, own_w, own_b)[0])


def test_a_planar_density_integrates_to_one() -> None:
    """Map a grid of the base through the flow, with log q = log N - log det."""
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


def flow_of(k: int, d: int, seed: int, scale: float = 1.0) -> PlanarFlow:
    u, w, b = (torch.stack(part) for part in zip(*(layer(d, seed + index, scale) for index in range(k)), strict=True))
    return PlanarFlow(invertible(u, w), w, b)


@given(
    k=st.integers(1, 8),
    d=st.integers(1, 4),
    seed=st.integers(0, 2**31),
    scale=st.sampled_from([0.01, 1.0, 4.0]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    far=st.sampled_from([1.0, 50.0]),
)
def test_the_inverse_of_a_flow(k: int, d: int, seed: int, scale: float, dtype: torch.dtype, far: float) -> None:
    """The inverse is exact to rounding, which the inverse of a contracting layer amplifies by its stretch."""
    flow, x = flow_of(k, d, seed, scale), far * points(5, d, seed + 99)
    stretched, end = torch.ones(5, 1, dtype=torch.float64), x
    for u, w, b in zip(flow.u, flow.w, flow.b, strict=True):
        stretched = stretched * (-get_logdet(end, u, w, b)).clamp(min=0).exp()[:, None]
        end = planar_transformation(end, u, w, b)
    flow, x = flow.to(dtype), x.to(dtype)
    z, _ = flow(x)
    back, inverse_log_det = flow.inverse(z)
    tolerance = 1e-5 if dtype == torch.float32 else 1e-10
    size = (1 + x.abs().max() + z.abs().max()).double()
    assert ((back - x).abs().double() <= tolerance * size * stretched).all()
    assert back.dtype == inverse_log_det.dtype == dtype
    _, again = flow(back)
    assert torch.allclose(inverse_log_det, -again, atol=1e-3 if dtype == torch.float32 else 1e-8)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_inverse_of_random_weights(dtype: torch.dtype, tolerance: float) -> None:
    for seed in range(20):
        flow, x = flow_of(8, 2, 100 * seed, 0.7).to(dtype), points(100, 2, seed).to(dtype)
        assert (flow.inverse(flow(x)[0])[0] - x).abs().max() <= tolerance


@given(k=st.integers(1, 4), d=st.integers(1, 4), seed=st.integers(0, 2**31), scale=st.sampled_from([0.01, 1.0, 4.0]))
def test_the_log_determinants_of_a_flow_equal_autograds(k: int, d: int, seed: int, scale: float) -> None:
    flow, x = flow_of(k, d, seed, scale), points(1, d, seed + 99)
    z, log_det = flow(x)
    jacobian = torch.autograd.functional.jacobian(lambda row: flow(row[None])[0][0], x[0])
    assert torch.linalg.slogdet(jacobian).logabsdet.item() == pytest.approx(log_det.item(), abs=1e-7)
    assert flow.inverse(z)[1].item() == pytest.approx(-log_det.item(), abs=1e-6)


def test_the_inverse_of_a_steep_layer() -> None:
    """Newton's method alone oscillates for ever from some of these points."""
    for wu in (-0.999, 0.5, 20.0, 500.0):
        layer = PlanarFlow(*(torch.tensor([[value]], dtype=torch.float64) for value in (wu, 1.0, -3.5)))
        x = torch.linspace(-30, 30, 20_001, dtype=torch.float64)[:, None]
        z, _ = layer(x)
        assert (layer(layer.inverse(z)[0])[0] - z).abs().max() <= 1e-12 * (1 + wu)


def test_a_layer_that_is_not_invertible_is_refused(tmp_path: Path) -> None:
    flow = flow_of(3, 2, 0).float()
    good = {f"arcs-k3/{part}": getattr(flow, part) for part in ("u", "w", "b")}
    path = tmp_path / "weights.safetensors"
    save_tensors(path, good)
    assert torch.equal(load_planar_flow(path, "arcs-k3").u, flow.u)
    for part, value in (("u", -2 * flow.w[1] / flow.w[1].square().sum()), ("w", float("nan")), ("b", float("inf"))):
        tensors = {name: tensor.clone() for name, tensor in good.items()}
        tensors[f"arcs-k3/{part}"][1] = value
        save_tensors(path, tensors)
        with pytest.raises(
            TriptychError, match=r"weights\.safetensors: layer 2 of arcs-k3 is not invertible"
        ) as caught:
            load_planar_flow(path, "arcs-k3")
        assert "\n" not in str(caught.value)
    with pytest.raises(TriptychError, match="holds no sine-k3/u"):
        load_planar_flow(path, "sine-k3")


@given(depths=st.lists(st.integers(1, 5), min_size=1, max_size=4).map(sorted), n=st.integers(1, 4), seed=SEEDS)
def test_batched_flows_equal_single_flows(depths: list[int], n: int, seed: int) -> None:
    flows, layers, z = side_by_side(depths, n, seed)
    end, log_det = flows.forward(z, layers)
    together = flows.backward(end.cos(), 2 * log_det)
    layers.requires_grad_()
    for flow, depth in enumerate(depths):
        u, w, b = layers[flow, :depth].split([2, 2, 1], dim=1)
        alone, alone_log_det = planar_flow(z[flow], invertible(u, w), w, b)
        assert torch.allclose(end[flow], alone)
        assert torch.allclose(log_det[flow], alone_log_det, atol=1e-10)
        (wanted,) = torch.autograd.grad(alone.sin().sum() + alone_log_det.square().sum(), layers)
        assert torch.allclose(together[flow], wanted[flow], rtol=1e-6, atol=1e-8)
        assert (together[flow, depth:] == 0).all()


def side_by_side(depths: list[int], n: int, seed: int) -> tuple[BatchedFlows, torch.Tensor, torch.Tensor]:
    """Return batched flows, their layers (c, k, 5) with zeros after the last layer of each, and points."""
    source = torch.Generator().manual_seed(seed)
    layers = torch.randn(len(depths), max(depths), 5, generator=source, dtype=torch.float64)
    for flow, depth in enumerate(depths):
        layers[flow, depth:] = 0
    z = torch.randn(len(depths), n, 2, generator=source, dtype=torch.float64)
    return BatchedFlows(depths, n, torch.float64), layers, z


@given(n=st.integers(1, 4), d=st.integers(1, 6), seed=SEEDS, scale=st.sampled_from([1e-3, 1.0, 20.0]))
def test_the_gradient_of_the_constraint_equals_autograds(n: int, d: int, seed: int, scale: float) -> None:
    u, w = (torch.stack(parts) for parts in zip(*(layer(d, seed + i, scale)[:2] for i in range(n)), strict=True))
    of_changed = points(n, d, seed)
    expected = torch.autograd.grad(invertible(u.requires_grad_(), w.requires_grad_()), [u, w], of_changed)
    with torch.no_grad():
        found = gradient_through_invertible(u, w, of_changed)
    for own, autograds in zip(found, expected, strict=True):
        assert torch.allclose(own, autograds, rtol=1e-6, atol=1e-8)


def test_losses_equal_torchs_distributions() -> None:
    """Compare the loss of affine maps, whose densities are known."""
    from torch.distributions import MultivariateNormal, kl_divergence

    scale, count = torch.tensor([0.5, 3.0], dtype=torch.float64), 200_000
    base = MultivariateNormal(torch.zeros(2, dtype=torch.float64), torch.eye(2, dtype=torch.float64))
    q = MultivariateNormal(torch.ones(2, dtype=torch.float64), torch.diag(scale.square()))
    log_det = scale.log().sum()
    x = points(7, 2, 3)
    sent = (x - 1) / scale
    assert loss1(sent, (-log_det).expand(7)).item() == pytest.approx(-q.log_prob(x).mean().item(), rel=1e-12)
    z0 = torch.randn(count, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    energy = (z0 * scale + 1).square().sum(1) / 2
    log_normaliser = math.log(2 * math.pi)
    found = loss2(energy, z0, log_det.expand(count)).item() + log_normaliser
    assert found == pytest.approx(kl_divergence(q, base).item(), abs=0.1)
    exact = (base.log_prob(z0) - log_det + energy).mean().item()
    assert loss2(energy, z0, log_det.expand(count)).item() == pytest.approx(exact, rel=1e-12)
    several = loss1(torch.stack([sent, 2 * sent]), torch.zeros(2, 7, dtype=torch.float64))
    assert several.shape == (2,)

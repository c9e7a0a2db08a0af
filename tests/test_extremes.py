"""Extreme inputs: pixels that are all black or white, distant points, and bounds with known limits."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal

from test_flow import STACKS, additive, convolution, coupling, randomised
from test_planar import flow_of
from test_vae import IMAGES, exact_log_likelihood, vae
from triptych.models.flow.architectures import build_flow
from triptych.models.flow.dequantization import Dequantize
from triptych.models.flow.normalization import ActNorm, Scaling
from triptych.models.flow.preparation import Logit, Scale
from triptych.models.flow.settings import KEYS, Model
from triptych.models.flow.transform import Composition, Flow, Transform
from triptych.models.vae.family import VaeFamily
from triptych.objectives.vae import importance_weighted_bound

SEEDS = st.integers(0, 2**32 - 1)
FAR = [1e-8, 1.0, 1e2, 1e4]
LAST = 1 - 2**-24  # the largest value below 1

FAR_TRANSFORMS = {
    "affine": (lambda: coupling(4, 0), (4,)),
    "additive": (lambda: additive(4, 1), (4,)),
    "convolutional": (lambda: convolution(4, 0), (4, 3, 2)),
    "scaling": (lambda: Scaling(4), (4,)),
    "activation normalisation": (lambda: ActNorm((4, 1, 1)), (4, 3, 2)),
    "a stack": (lambda: Composition([ActNorm((4,)), coupling(4, 0), coupling(4, 1), Scaling(4), additive(4, 0)]), (4,)),
}


def logabsdet(transform: Transform, x: torch.Tensor) -> torch.Tensor:
    """Return log |det J| from autograd at one example x (1, ...)."""
    jacobian = torch.autograd.functional.jacobian(lambda row: transform(row)[0].flatten(), x)
    return torch.linalg.slogdet(jacobian.view(x.numel(), x.numel())).logabsdet


@pytest.mark.parametrize("name", FAR_TRANSFORMS)
@settings(max_examples=12)
@given(seed=SEEDS, far=st.sampled_from(FAR))
def test_inverses_and_log_determinants_at_distant_points(name: str, seed: int, far: float) -> None:
    make, shape = FAR_TRANSFORMS[name]
    torch.manual_seed(seed)
    transform = randomised(make()).double()
    x = far * (2 * torch.rand(1, *shape, dtype=torch.float64) - 1)
    with torch.no_grad():
        z, log_det = transform(x)
        back, inverse_log_det = transform.inverse(z)
    assert (back - x).abs().max() <= 1e-11 * (far + float(z.abs().max()))
    assert inverse_log_det.item() == pytest.approx(-log_det.item(), rel=1e-6, abs=1e-9)
    assert logabsdet(transform, x).item() == pytest.approx(log_det.item(), rel=1e-8, abs=1e-8)


@pytest.mark.parametrize("preparation", [Logit(1e-5), Logit(0.3), Scale()], ids=["narrow", "wide", "scale"])
@pytest.mark.parametrize("architecture", KEYS)
def test_black_and_white_images_are_inverted(preparation: Transform, architecture: str) -> None:
    """Invert images whose pixels are all 0 or all 255, with the smallest and the largest noise, in float32."""
    channels = {"multiscale": [4, 4], "gated": [4, 4, 4]}.get(architecture)
    kind = {"channels": channels, "blocks": 1} if channels else {"hidden": [8]}
    torch.manual_seed(0)
    flow = build_flow(Model(architecture=architecture, alpha=1e-5, couplings=2, **kind), (8, 8))
    randomised(flow)
    layers = Composition([preparation, *list(flow.transforms)[2:]])
    ends = [0.0, 2**-24, 1 / 256, 255 / 256, LAST]
    y = torch.cat([torch.full((1, 8, 8), end) for end in ends] + [torch.tensor(ends)[torch.randint(5, (5, 8, 8))]])
    with torch.no_grad():
        z, log_det = layers(y)
        back, inverse_log_det = layers.inverse(z)
    assert z.isfinite().all()
    assert log_det.isfinite().all()
    assert (back - y).abs().max() <= 1e-5
    assert torch.allclose(inverse_log_det, -log_det, rtol=1e-3, atol=0.1)
    black, white = torch.zeros(1, 8, 8, dtype=torch.float64), torch.full((1, 8, 8), LAST, dtype=torch.float64)
    for end in (black, white):
        assert logabsdet(preparation, end).item() == pytest.approx(preparation(end)[1].item(), rel=1e-9)


@pytest.mark.parametrize("level", [0, 255])
def test_black_and_white_pixels_return_to_their_level(level: int) -> None:
    torch.manual_seed(0)
    pixels = torch.full((200, 28, 28), level, dtype=torch.uint8)
    values, log_det = Dequantize()(pixels)
    assert level / 256 <= values.min()
    assert values.max() < (level + 1) / 256 or values.max() == LAST
    assert (Dequantize().inverse(values)[0] == level).all()
    assert log_det.tolist() == pytest.approx([-784 * math.log(256)] * 200)


@settings(max_examples=12)
@given(k=st.integers(1, 5), seed=st.integers(0, 2**31), far=st.sampled_from(FAR))
def test_planar_inverses_and_log_determinants_at_distant_points(k: int, seed: int, far: float) -> None:
    flow = flow_of(k, 2, seed)
    x = far * (2 * torch.rand(1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) - 1)
    z, log_det = flow(x)
    back, _ = flow.inverse(z)
    assert log_det.isfinite().all()
    assert flow(back)[0].sub(z).abs().max() <= 1e-10 * (1 + far)
    assert logabsdet(flow, x).item() == pytest.approx(log_det.item(), abs=1e-6)


@pytest.mark.parametrize("k", [1, 2, 4])
def test_planar_densities_of_the_plane_integrate_to_one(k: int) -> None:
    flow = flow_of(k, 2, 11)
    axis = torch.linspace(-14, 14, 801, dtype=torch.float64)
    z, log_det = flow(torch.cartesian_prod(axis, axis))
    density = (-z.square().sum(1) / 2 - math.log(2 * math.pi) + log_det).exp()
    assert float(density.sum()) * float(axis[1] - axis[0]) ** 2 == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("name", STACKS)
def test_samples_of_a_stack_have_its_density(name: str) -> None:
    """The share of samples in a disc equals the integral of the density, within five standard errors."""
    torch.manual_seed(4)
    flow: Flow = randomised(STACKS[name](), 0.5).double()
    count, radius = 100_000, 1.2
    axis = torch.linspace(-radius, radius, 601, dtype=torch.float64)
    disc = torch.cartesian_prod(axis, axis)
    disc = disc[disc.square().sum(1) < radius**2]
    with torch.no_grad():
        mass = float(flow.calc_likelihood(disc).exp().sum()) * float(axis[1] - axis[0]) ** 2
        drawn = flow.sample(torch.randn(count, 2, dtype=torch.float64))
    share = float((drawn.square().sum(1) < radius**2).double().mean())
    assert abs(share - mass) < 5 * math.sqrt(mass * (1 - mass) / count) + 2e-3


def bounds(log_weights: torch.Tensor, draws: int) -> tuple[float, float]:
    """Return the mean importance-weighted bound with `draws` draws, and its standard error, from weights (n, K)."""
    found = importance_weighted_bound(log_weights.reshape(-1, draws)).double()
    return float(found.mean()), float(found.std()) / len(found) ** 0.5


@pytest.mark.parametrize("misfit", [0.3, 1.0])
def test_more_draws_never_loosen_the_bound_of_a_linear_gaussian(misfit: float) -> None:
    """z ~ N(0, I), x = A z + noise, and q is wrong by `misfit`: ELBO = L_1 <= L_5 <= ... <= log p(x), a Gaussian.

    If q is wrong, the bounds of the same draws differ by far more than their standard errors.
    """
    torch.manual_seed(0)
    a, noise = torch.randn(3, 2, dtype=torch.float64), 0.5
    x = torch.tensor([0.4, -1.0, 0.8], dtype=torch.float64)
    eye = torch.eye(2, dtype=torch.float64)
    log_p_x = MultivariateNormal(torch.zeros(3).double(), a @ a.T + noise**2 * torch.eye(3)).log_prob(x).item()
    covariance = torch.linalg.inv(eye + a.T @ a / noise**2)
    q = MultivariateNormal(covariance @ a.T @ x / noise**2 + misfit * covariance.diagonal().sqrt(), 1.5 * covariance)
    z = q.sample((200_000,))
    log_joint = MultivariateNormal(torch.zeros(2).double(), eye).log_prob(z)
    log_joint = log_joint + MultivariateNormal(z @ a.T, noise**2 * torch.eye(3).double()).log_prob(x)
    log_weights = log_joint - q.log_prob(z)
    _assert_ordered(log_weights, log_p_x)
    exact = MultivariateNormal(covariance @ a.T @ x / noise**2, covariance)
    elbo = log_p_x - torch.distributions.kl_divergence(q, exact).item()
    found, error = bounds(log_weights, 1)
    assert abs(found - elbo) < 5 * error


@torch.no_grad()
def test_more_draws_never_loosen_the_bound_of_a_vae() -> None:
    """Compute log p(x) of one image by quadrature; no bound of a VAE exceeds it."""
    family, image = vae(0.7, planar_layers=2), 6
    log_p_x = float(exact_log_likelihood(family, IMAGES)[image])
    torch.manual_seed(0)
    pixels = IMAGES[image : image + 1].float()
    reconstruction, kl = family.sampled_terms(pixels, family.networks.encode(pixels), 100_000)
    _assert_ordered((-reconstruction - kl).flatten(), log_p_x)


def _assert_ordered(log_weights: torch.Tensor, log_p_x: float) -> None:
    found = [bounds(log_weights, draws) for draws in (1, 5, 25, 200)]
    for (looser, first), (tighter, second) in itertools.pairwise(found):
        assert tighter - looser > -4 * math.hypot(first, second)
    assert found[2][0] - found[0][0] > 4 * math.hypot(found[0][1], found[2][1])
    assert found[-1][0] < log_p_x + 4 * found[-1][1]
    assert log_p_x - found[-1][0] < 0.3 * (log_p_x - found[0][0])


def with_small_weights() -> VaeFamily:
    """Return a VAE with the documents' sizes and weights near zero."""
    torch.manual_seed(0)
    return vae(1e-6, (28, 28), hidden=[500], latent=20)


def test_a_decoder_with_probabilities_of_one_half_has_784_log_2_nats() -> None:
    found = with_small_weights().bound((torch.rand(50, 28, 28) < 0.13).to(torch.uint8))
    assert found["negative_elbo"] == pytest.approx(784 * math.log(2), abs=0.01)


@pytest.mark.parametrize("pixels", [torch.zeros(4, 28, 28), torch.ones(4, 28, 28)], ids=["black", "white"])
def test_bounds_of_black_and_white_images_are_finite(pixels: torch.Tensor) -> None:
    for shift in (0.0, -1e4, 1e4):
        family = with_small_weights()
        family.networks.shift = shift
        found = family.bound(pixels.to(torch.uint8))
        right = (shift > 0) == bool(pixels[0, 0, 0])
        expected = 784 * (math.log(2) if not shift else 0.0 if right else 1e4)
        assert found["negative_elbo"] == pytest.approx(expected, rel=1e-6, abs=0.01)

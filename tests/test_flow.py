"""Flows: inverses and log determinants of all transforms, total probability, dequantisation and errors."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import Independent, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform, SigmoidTransform

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.settings_types import ByProfile
from triptych.models.common.registry import build
from triptych.models.flow.architectures import LAYERS, build_flow, checkerboard_coupling, perceptron_coupling
from triptych.models.flow.coupling import AdditiveCoupling, AffineCoupling, checkerboard, halves
from triptych.models.flow.dequantization import Dequantize, VariationalDequantize
from triptych.models.flow.image_transforms import Reorder, Reshape, Split, Squeeze
from triptych.models.flow.networks import ChannelNorm, GatedNetwork, ResidualNetwork, multilayer_perceptron
from triptych.models.flow.normalization import ActNorm, Scaling
from triptych.models.flow.preparation import Logit, Scale
from triptych.models.flow.settings import KEYS, Model
from triptych.models.flow.transform import Composition, Flow, Transform
from triptych.settings.params import Settings, parse

SEEDS = st.integers(0, 2**32 - 1)
EXACT = {torch.float64: 1e-10, torch.float32: 1e-5}


def randomised(module: torch.nn.Module, scale: float = 0.3) -> torch.nn.Module:
    """Give every parameter a random value scaled by its fan-in, since layers that start at zero hide errors."""
    for parameter in module.parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        torch.nn.init.normal_(parameter, std=scale / math.sqrt(fan_in))
    return module


def coupling(d: int, parity: int) -> AffineCoupling:
    return perceptron_coupling(d, parity, [8], context=0)


def convolution(channels: int, parity: int) -> AffineCoupling:
    return AffineCoupling(
        halves(channels), parity, ResidualNetwork(channels // 2, channels, 4, 1), (channels // 2, 1, 1)
    )


def gated(channels: int, parity: int) -> AffineCoupling:
    network = GatedNetwork(channels // 2, channels, 4, 1)
    return AffineCoupling(halves(channels), parity, network, (channels // 2, 1, 1))


def gated_flow(**changes: object) -> Flow:
    """Return the layers of a gated flow on images of 4 by 4."""
    model = Model.model_validate({"architecture": "gated", "alpha": 0.05, "couplings": 2, "blocks": 1} | changes)
    return build_flow(model, (4, 4))


def additive(d: int, parity: int) -> AdditiveCoupling:
    return AdditiveCoupling(halves(d), parity, multilayer_perceptron([d // 2, 6, d // 2], zero=False))


# By name: a function from a size to a transform, the shape of one example, and whether inputs are in [0, 1).
TRANSFORMS: dict[str, tuple[Callable[[int], Transform], Callable[[int], tuple[int, ...]], bool]] = {
    "logit": (lambda size: Logit(1e-5), lambda size: (size,), True),
    "wide logit": (lambda size: Logit(0.3), lambda size: (size, 2), True),
    "scale": (lambda size: Scale(), lambda size: (size,), True),
    "affine coupling": (lambda size: coupling(size + 1, size % 2), lambda size: (size + 1,), False),
    "additive coupling": (lambda size: additive(2 * size, size % 2), lambda size: (2 * size,), False),
    "convolutional coupling": (lambda size: convolution(4, size % 2), lambda size: (4, size, 2), False),
    "gated coupling": (lambda size: gated(4, size % 2), lambda size: (4, size, 2), False),
    "coupling on a checkerboard": (
        lambda size: checkerboard_coupling((2, size, 3), size, 4, 1, context=0),
        lambda size: (2, size, 3),
        False,
    ),
    "gated flow": (lambda size: gated_flow(channels=[3]).transforms[-1], lambda size: (16,), False),
    "multi-scale gated flow": (lambda size: gated_flow(channels=[3, 4, 5]).transforms[-1], lambda size: (16,), False),
    "scaling": (Scaling, lambda size: (size,), False),
    "activation normalisation": (lambda size: ActNorm((size,)), lambda size: (size,), False),
    "the same of channels": (lambda size: ActNorm((size, 1, 1)), lambda size: (size, 2, 3), False),
    "reshape": (lambda size: Reshape((size, 2), (2 * size,)), lambda size: (size, 2), False),
    "reorder": (lambda size: Reorder(torch.arange(size).flip(0).roll(1)), lambda size: (size, 2), False),
    "squeeze": (lambda size: Squeeze((1, 2 * size, 2)), lambda size: (1, 2 * size, 2), False),
    "split": (lambda size: Split(convolution(2, 0)), lambda size: (4, size, 1), False),
    "composition": (lambda size: Composition([coupling(4, 0), Scaling(4), coupling(4, 1)]), lambda size: (4,), False),
}


@pytest.mark.parametrize("dtype", EXACT, ids=str)
@pytest.mark.parametrize("name", TRANSFORMS)
@given(size=st.integers(1, 4), n=st.integers(1, 3), seed=SEEDS, reach=st.sampled_from([0.01, 1.0, 30.0]))
def test_inverses_and_log_determinants(
    name: str, dtype: torch.dtype, size: int, n: int, seed: int, reach: float
) -> None:
    make, shape, unit = TRANSFORMS[name]
    torch.manual_seed(seed)
    transform = randomised(make(size)).to(dtype)
    x = torch.rand(n, *shape(size), dtype=dtype) if unit else reach * torch.randn(n, *shape(size), dtype=dtype)
    x = x.clamp(max=1 - 2**-24) if unit else x
    with torch.no_grad():
        z, log_det = transform(x)
        back, inverse_log_det = transform.inverse(z)
    assert z.dtype == dtype
    assert z.numel() == x.numel()
    assert log_det.shape == inverse_log_det.shape == (n,)
    bound = EXACT[dtype] * max(1.0, float(x.abs().max()), float(z.abs().max()))
    assert (back - x).abs().max() <= bound
    assert torch.allclose(inverse_log_det, -log_det, rtol=1e-4, atol=1e-3 if dtype == torch.float32 else 1e-7)
    if dtype == torch.float64:
        flat = x[0].numel()
        jacobian = torch.autograd.functional.jacobian(lambda row: transform(row[None])[0].flatten(), x[0])
        oracle = torch.linalg.slogdet(jacobian.view(flat, flat)).logabsdet
        assert torch.allclose(oracle, log_det[0], rtol=1e-8, atol=1e-8)


STACKS: dict[str, Callable[[], Flow]] = {
    "affine": lambda: Flow(coupling(2, index % 2) for index in range(3)),
    "nice": lambda: Flow([additive(2, 0), Scaling(2), additive(2, 1), Scaling(2)]),
    "normalised": lambda: Flow([ActNorm((2,)), coupling(2, 0), ActNorm((2,)), coupling(2, 1)]),
    "split": lambda: Flow(
        [Reshape((2,), (2, 1, 1)), convolution(2, 0), Split(ActNorm((1, 1, 1))), Reshape((2, 1, 1), (2,))]
    ),
}


@pytest.mark.parametrize("name", STACKS)
def test_every_stack_integrates_to_one(name: str) -> None:
    torch.manual_seed(2)
    flow = randomised(STACKS[name](), 0.5).double()
    axis = torch.linspace(-30, 30, 1201, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    with torch.no_grad():
        mass = flow.calc_likelihood(grid).exp().sum() * (axis[1] - axis[0]) ** 2
    assert mass.item() == pytest.approx(1.0, abs=2e-3)


@pytest.mark.parametrize("preparation", [Logit(1e-5), Logit(0.1), Scale()], ids=["narrow", "wide", "scale"])
def test_a_flow_with_a_preparation_has_the_mass_of_its_samples_in_the_unit_square(preparation: Transform) -> None:
    """The integral of the density over [0, 1)^2 equals the share of samples there."""
    torch.manual_seed(3)
    flow = randomised(Flow([preparation, coupling(2, 0), coupling(2, 1)]), 0.5).double()
    axis = (torch.arange(2000, dtype=torch.float64) + 0.5) / 2000
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    with torch.no_grad():
        inside = flow.calc_likelihood(grid).exp().mean().item()
        drawn = flow.sample(torch.randn(200_000, 2, dtype=torch.float64))
    share = ((drawn >= 0) & (drawn < 1)).all(1).double().mean().item()
    assert inside == pytest.approx(share, abs=6e-3)


class Uniform(Flow):
    """A flow whose base is uniform on the unit cube."""

    def calc_likelihood(self, x: torch.Tensor) -> torch.Tensor:
        return self(x)[1]


def test_a_uniform_model_has_exactly_eight_bits() -> None:
    pixels = torch.randint(0, 256, (4, 28, 28), dtype=torch.uint8)
    nats = Uniform([Dequantize()]).calc_likelihood(pixels)
    assert (-nats / (784 * math.log(2))).tolist() == pytest.approx([8.0] * 4, abs=1e-6)


def test_a_uniform_model_has_eight_bits_after_the_logit() -> None:
    """The logit with a logistic base gives the uniform density, up to the factor 1 - alpha."""
    pixels = torch.randint(0, 256, (50, 6), dtype=torch.uint8)
    for alpha in (1e-5, 0.05, 0.3):
        z, log_det = Composition([Dequantize(), Logit(alpha)])(pixels)
        base = (torch.nn.functional.logsigmoid(z) + torch.nn.functional.logsigmoid(-z)).sum(1)
        whole = -(base + log_det - 6 * math.log1p(-alpha)) / (6 * math.log(2))  # the base has the mass 1 - alpha inside
        assert whole.tolist() == pytest.approx([8.0] * 50, abs=1e-5)


@given(seed=SEEDS)
def test_dequantised_pixels_return_to_their_level(seed: int) -> None:
    torch.manual_seed(seed)
    pixels = torch.randint(0, 256, (3, 4, 5), dtype=torch.uint8)
    couplings = (perceptron_coupling(20, index, [6], context=20) for index in range(2))
    for dequantize in (Dequantize(), randomised(VariationalDequantize(checkerboard((4, 5)), couplings))):
        values, log_det = dequantize(pixels)
        assert values.shape == pixels.shape
        assert values.min() >= 0
        assert values.max() < 1
        levels, inverse = dequantize.inverse(values)
        assert (levels - pixels.float()).abs().max() <= (0 if isinstance(dequantize, Dequantize) else 1)
        assert log_det.shape == (3,)
        assert inverse.tolist() == pytest.approx([20 * math.log(256)] * 3)


def test_uniform_noise_fills_its_level_evenly() -> None:
    torch.manual_seed(0)
    values, log_det = Dequantize()(torch.full((1, 100_000), 37))
    noise = values * 256 - 37
    assert noise.mean().item() == pytest.approx(0.5, abs=0.005)
    assert noise.var().item() == pytest.approx(1 / 12, abs=0.002)
    assert log_det.item() == pytest.approx(-100_000 * math.log(256), rel=1e-6)


def test_variational_noise_has_the_returned_density() -> None:
    """With constant scale and shift u is logistic-normal, which torch.distributions can compute."""
    couplings = [perceptron_coupling(2, index, [3], context=2) for index in range(2)]
    for index, item in enumerate(couplings):
        item.factor.data.fill_(0.7)
        item.network[-1].bias.data.copy_(torch.tensor([0.5 - index, 0.3 * index + 0.1]))
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (500, 1, 2))
    values, stand_in = VariationalDequantize(torch.tensor([1, 0]), couplings)(pixels)
    noise = (values.double() * 256 - pixels).flatten(1)
    moved = {0: couplings[0], 1: couplings[1]}  # pixel 1 stands first and stays in the first coupling
    scale = [float((moved[place].network[-1].bias[0].detach().tanh() * 0.7).exp()) for place in (0, 1)]
    shift = [float(moved[place].network[-1].bias[1].detach()) for place in (0, 1)]
    base = Normal(torch.zeros(2, dtype=torch.float64), 1.0)
    affine = AffineTransform(torch.tensor(shift, dtype=torch.float64), torch.tensor(scale, dtype=torch.float64))
    oracle = Independent(TransformedDistribution(base, [affine, SigmoidTransform()]), 1)
    claimed = -stand_in - 2 * math.log(256)
    inside = ((noise > 1e-3) & (noise < 1 - 1e-3)).all(1)
    assert inside.double().mean() > 0.9
    assert torch.allclose(oracle.log_prob(noise)[inside], claimed.double()[inside], atol=0.02)


def test_the_noise_of_a_pixel_depends_on_its_level_from_minus_one_to_one() -> None:
    given = []

    class Coupling(Transform):
        def forward(self, x: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            given.append(context)
            return x, x.new_zeros(len(x))

        def inverse(self, z: torch.Tensor, context: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return z, z.new_zeros(len(z))

    VariationalDequantize(torch.arange(4), [Coupling(), Coupling()])(torch.tensor([[[0, 255], [51, 102]]]))
    assert [context.tolist() for context in given] == [[pytest.approx([-1.0, 1.0, -0.6, -0.2])]] * 2


def test_permutations_are_no_weights() -> None:
    """They follow from the settings. As weights they would be averaged and stored."""
    assert not Reorder(torch.arange(4)).state_dict()
    assert not VariationalDequantize(torch.arange(4), []).state_dict()


def test_variational_bound_is_a_bound() -> None:
    """For known P(x): E_u log p(y) + log det <= log P(x), with uniform and with learned noise."""
    torch.manual_seed(1)
    model = Normal(torch.tensor(0.4, dtype=torch.float64), torch.tensor(0.002, dtype=torch.float64))
    edges = torch.arange(257, dtype=torch.float64) / 256
    true = (model.cdf(edges[1:]) - model.cdf(edges[:-1])).log()
    pixels = torch.tensor([101, 102, 103]).repeat_interleave(20_000)[:, None].expand(-1, 2)
    couplings = [perceptron_coupling(2, index, [4], context=2) for index in range(2)]
    for dequantize in (Dequantize(), randomised(VariationalDequantize(torch.arange(2), couplings), 1.0)):
        with torch.no_grad():
            values, log_det = dequantize(pixels)
        bound = (model.log_prob(values.double()).sum(1) + log_det).view(3, -1).mean(1)
        assert (bound < 2 * true[101:104]).all()


@pytest.mark.parametrize("parity", [0, 1])
def test_couplings_start_as_the_identity_and_change_one_part(parity: int) -> None:
    layer = perceptron_coupling(15, parity, [8], context=0)
    x = torch.randn(3, 15)
    z, log_det = layer(x)
    assert torch.equal(z, x)
    assert log_det.tolist() == [0.0, 0.0, 0.0]
    z, _ = randomised(layer)(x)
    stays = torch.arange(15) < 8 if parity == 0 else torch.arange(15) >= 8
    assert torch.equal(z[:, stays], x[:, stays])
    assert (z[:, ~stays] != x[:, ~stays]).all()


@pytest.mark.parametrize("parity", [0, 1])
def test_a_checkerboard_coupling_changes_one_colour_given_the_other(parity: int) -> None:
    torch.manual_seed(0)
    layer = checkerboard_coupling((2, 4, 5), parity, 4, 1, context=1)
    x, context = torch.randn(3, 2, 4, 5), torch.randn(3, 1, 4, 5)
    z, log_det = layer(x, context)
    assert torch.equal(z, x)
    assert log_det.tolist() == [0.0, 0.0, 0.0]
    randomised(layer, 1.0)
    z, log_det = layer(x, context)
    stays = (torch.arange(4)[:, None] + torch.arange(5)) % 2 == parity
    assert torch.equal(z[..., stays], x[..., stays])
    assert (z[..., ~stays] != x[..., ~stays]).all()
    other = torch.where(stays, x, 2 * x + 1)
    scaled, same_log_det = layer(other, context)
    assert torch.equal(same_log_det, log_det)
    slope = (scaled - z)[..., ~stays] / (other - x)[..., ~stays]
    assert torch.allclose(slope.log().sum((1, 2)), log_det, atol=1e-4)
    assert not torch.allclose(layer(x, -context)[0], z, atol=1e-3)


def test_a_gated_network_equals_the_formula() -> None:
    """With images of one pixel, a convolution is a linear map by the centre of its kernel."""
    torch.manual_seed(0)
    network = randomised(GatedNetwork(2, 3, 5, 1), 1.0).double()
    first, block, norm, _, last = network
    _, inner, _, outer = block.residual
    x = torch.randn(4, 2, dtype=torch.float64)

    def linear(layer: torch.nn.Conv2d, values: torch.Tensor) -> torch.Tensor:
        centre = layer.kernel_size[0] // 2
        return values @ layer.weight[:, :, centre, centre].T + layer.bias

    def both(values: torch.Tensor) -> torch.Tensor:
        return torch.cat([torch.nn.functional.elu(values), torch.nn.functional.elu(-values)], 1)

    y = linear(first, x)
    residual = linear(outer, both(linear(inner, both(y))))
    y = y + residual[:, :5] / (1 + (-residual[:, 5:]).exp())
    deviation = (y.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
    y = (y - y.mean(1, keepdim=True)) / deviation * norm.weight + norm.bias
    assert torch.allclose(network(x[:, :, None, None])[..., 0, 0], linear(last, both(y)), atol=1e-10)


def test_the_normalisation_of_channels_is_at_each_pixel() -> None:
    z = ChannelNorm(50)(3 + 5 * torch.randn(2, 50, 3, 4))
    assert z.shape == (2, 50, 3, 4)
    assert torch.allclose(z.mean(1), torch.zeros(2, 3, 4), atol=1e-5)
    assert torch.allclose(z.var(1, unbiased=False), torch.ones(2, 3, 4), atol=1e-3)


@pytest.mark.parametrize("architecture", ["realnvp", "gated"])
def test_the_density_of_learned_noise_equals_that_by_autograd(architecture: str) -> None:
    """-log q(u|x) is -log N(e) plus the log determinant of du/de, by autograd from the same noise e."""
    noise = {"variational_dequantization": {"couplings": 3, "hidden": [4]}}
    kind = {"channels": [4]} if architecture == "gated" else {"blocks": None, "hidden": [4]}
    torch.manual_seed(0)
    dequantize = randomised(gated_flow(architecture=architecture, **kind, **noise).transforms[0], 1.0)
    pixels = torch.randint(0, 256, (1, 4, 4), dtype=torch.uint8)
    torch.manual_seed(1)
    e = torch.randn(1, *(dequantize.shape if architecture == "gated" else (16,)))
    torch.manual_seed(1)
    values, log_det = dequantize(pixels)

    def noise_of(given: torch.Tensor) -> torch.Tensor:
        context, u = (pixels.float() / 127.5 - 1).view(e.shape), given
        for item in dequantize.couplings:
            u, _ = item(u, context)
        return u.index_select(1, dequantize.back).sigmoid().flatten()

    jacobian = torch.autograd.functional.jacobian(noise_of, e).view(16, 16)
    assert torch.allclose((values * 256 - pixels).flatten(), noise_of(e), atol=1e-3)
    oracle = torch.linalg.slogdet(jacobian).logabsdet - Normal(0.0, 1.0).log_prob(e).sum() - 16 * math.log(256)
    assert log_det.item() == pytest.approx(oracle.item(), abs=1e-3)


def test_a_gated_flow_has_the_couplings_of_its_description() -> None:
    """Twice at full size, twice at half size, and four times at a quarter, after half of the channels have left."""
    flow = gated_flow(channels=[3, 4, 5])
    x = torch.randn(2, 16)
    assert flow.transforms[-1](x)[1].tolist() == [0.0, 0.0]  # it starts as the identity
    couplings = [module for module in flow.modules() if isinstance(module, AffineCoupling)]
    found = [(len(item.factor), item.network[0].out_channels, item.parity) for item in couplings]
    quarter = [(4, 5, 0), (4, 5, 1)]
    assert found == [(1, 3, 0), (1, 3, 1), (2, 4, 0), (2, 4, 1), *quarter, *quarter]


@pytest.mark.parametrize("parity", [0, 1])
def test_a_coupling_equals_the_masked_formula(parity: int) -> None:
    """Compare with z = b x + (1 - b)(x exp(s(b x)) + t(b x)) for a checkerboard b, with a network of full width.

    The coupling receives the pixels in the order of the checkerboard.
    """
    torch.manual_seed(1)
    rows, columns = torch.arange(2)[:, None], torch.arange(3)
    board = ((rows + columns) % 2 == parity).flatten()
    order = Reorder(checkerboard((2, 3)))
    layer = randomised(perceptron_coupling(6, parity, [7], context=0), 1.0)
    first, last = layer.network[0], layer.network[-1]
    x, b = torch.randn(5, 6), board.float()
    kept, moved = board.nonzero().squeeze(1), (~board).nonzero().squeeze(1)
    wide_in = torch.zeros(7, 6).index_copy(1, kept, first.weight)
    hidden = torch.relu((b * x) @ wide_in.T + first.bias)
    raw_scale, raw_shift = (hidden @ last.weight.T + last.bias).chunk(2, dim=1)
    scale = torch.zeros(5, 6).index_copy(1, moved, raw_scale.tanh() * layer.factor)
    shift = torch.zeros(5, 6).index_copy(1, moved, raw_shift)
    z, log_det = layer(order(x)[0])
    assert torch.allclose(order.inverse(z)[0], b * x + (1 - b) * (x * scale.exp() + shift), atol=1e-5)
    assert torch.allclose(log_det, ((1 - b) * scale).sum(1), atol=1e-5)


def test_a_squeeze_maps_the_checkerboard_to_pairs_of_channels() -> None:
    """Channels 0 and 3 of a squeezed image hold the pixels that `checkerboard` puts first."""
    first = torch.zeros(24).index_fill(0, checkerboard((4, 6))[:12], 1.0)
    squeezed, _ = Squeeze((1, 4, 6))(first.view(1, 1, 4, 6))
    assert squeezed.flatten(2).mean(2).tolist() == [[1.0, 0.0, 0.0, 1.0]]


@pytest.mark.parametrize("channels", [False, True])
def test_data_initialisation_normalises(channels: bool) -> None:
    torch.manual_seed(0)
    x = 3 + 5 * (torch.randn(400, 4, 3, 3) if channels else torch.randn(400, 6))
    layer = ActNorm((4, 1, 1) if channels else (6,))
    layer.initialise(x)
    z, _ = layer(x)
    over = [0, 2, 3] if channels else [0]
    assert torch.allclose(z.mean(over), torch.zeros(z.shape[1]), atol=1e-4)
    assert torch.allclose(z.std(over), torch.ones(z.shape[1]), atol=1e-2)


def test_nice_without_data_initialisation_starts_as_built() -> None:
    family = build("flow", Model(architecture="nice", alpha=1e-3, couplings=4, hidden=[8]), (4, 4))
    before = {name: value.clone() for name, value in family.networks.state_dict().items()}
    family.initialise(torch.randint(0, 256, (1000, 4, 4), dtype=torch.uint8))
    assert all(torch.equal(value, before[name]) for name, value in family.networks.state_dict().items())


def test_data_initialisation_of_nice() -> None:
    """Every dimension of z has mean 0 and standard deviation 1."""
    torch.manual_seed(0)
    model = Model(architecture="nice", alpha=1e-3, couplings=4, hidden=[8], data_initialisation=True)
    flow = build("flow", model, (4, 4)).networks
    pixels = torch.randint(0, 256, (1000, 4, 4), dtype=torch.uint8)
    flow.initialise(pixels)
    z, _ = flow(pixels)
    assert torch.allclose(z.mean(0), torch.zeros(16), atol=0.3)
    assert torch.allclose(z.std(0), torch.ones(16), atol=0.1)


@pytest.mark.parametrize("name", ["realnvp-mnist", "nice-mnist", "realnvp-mnist-multiscale"])
def test_flows_invert_images_to_1e_5(params: dict, name: str) -> None:
    torch.manual_seed(0)
    family = build("flow", parse(params).experiment(name).model_at("full"), (28, 28))
    randomised(family.networks)
    values = ((torch.randint(0, 256, (4, 28, 28)) + torch.rand(4, 28, 28)) / 256).clamp(max=1 - 2**-24)
    assert family.inverse_error(values) <= 1e-5
    prepared, _ = Composition(family.networks.transforms[1:3])(values)
    z, log_det = family.continuous(values)
    assert not torch.allclose(z.flatten(), prepared.flatten(), atol=0.1)
    assert log_det.isfinite().all()


def test_the_inverse_steps_end_at_the_sample(tiny: Settings) -> None:
    family = build("flow", tiny.experiment("nice-mnist").model, (28, 28))
    z = torch.randn(3, 784)
    way = family.layers.inverse_steps(z)
    assert len(way) == 1 + tiny.experiment("nice-mnist").model.couplings
    assert torch.equal(way[0], z)
    assert torch.equal(family.to_intensities(way[-1]), family.decode(z))
    assert (way[-1] - family.layers.inverse(z)[0]).abs().max() == 0


def test_an_image_that_does_not_fit_the_architecture_is_refused() -> None:
    scales = Model(architecture="multiscale", alpha=1e-3, couplings=2, channels=[4, 4], blocks=1)
    gated = scales.model_copy(update={"architecture": "gated", "channels": [4, 4, 4]})
    for model, shape in product((scales, gated), ((27, 28), (14, 30))):
        with pytest.raises(TriptychError, match="cannot be squeezed|multiples of 4"):
            build("flow", model, shape)
        assert "multiples of 4" in model.misfit((30, 30))
    full_size = gated.model_copy(update={"channels": [4]})
    assert full_size.misfit((9, 9)) == ""
    both = gated.model_copy(update={"channels": ByProfile(quick=[4], full=[4, 4, 4])})
    assert "multiples of 4" in both.misfit((9, 9))


@pytest.mark.parametrize("layer", [0, 3])
def test_an_error_names_the_first_layer_that_is_not_finite(tiny: Settings, layer: int) -> None:
    torch.manual_seed(0)
    family = build("flow", tiny.experiment("realnvp-mnist").model, (28, 28))
    couplings = [module for module in family.networks.modules() if isinstance(module, AffineCoupling)]
    place = min(layer, len(couplings) - 1)
    couplings[place].network[-1].bias.data[0] = math.nan
    pixels = torch.randint(0, 256, (3, 28, 28), dtype=torch.uint8)
    words = f", first after AffineCoupling, layer {place + 1} of {len(couplings)}"
    assert family.first_non_finite_layer(pixels) == words

    class Held:
        split = "valid"

    Held.pixels, Held.continuous = pixels, pixels.float() / 256
    with pytest.raises(DivergenceError, match=r"of 3 valid images is not finite, first after AffineCoupling"):
        family.validate(Held)


def test_each_architecture_has_its_keys_and_its_layers() -> None:
    assert set(get_args(Model.model_fields["architecture"].annotation)) == set(KEYS) == set(LAYERS)


def test_a_transform_needs_both_directions() -> None:
    class OneWay(Transform):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return x, torch.zeros(len(x))

    with pytest.raises(TypeError, match="inverse"):
        OneWay()

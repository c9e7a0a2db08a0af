"""The networks of all families, compared with plain formulas of their parameters."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from triptych.models.flow.architectures import build_flow
from triptych.models.flow.coupling import AffineCoupling
from triptych.models.flow.networks import ResidualNetwork
from triptych.models.flow.settings import Model as FlowModel
from triptych.models.gan.mlp import Discriminator, Generator
from triptych.models.gan.resnet import ResidualCritic, ResidualGenerator
from triptych.models.vae.network import Vae
from triptych.models.vae.settings import Model as VaeModel

if TYPE_CHECKING:
    from collections.abc import Callable

    from triptych.models.flow.transform import Composition

LEAK = 0.2


def randomised(network: nn.Module, seed: int = 0) -> nn.Module:
    """Return the network in float64, with random parameters. Weights keep the scale of activations."""
    source = torch.Generator().manual_seed(seed)
    for parameter in network.double().parameters():
        fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
        parameter.data = torch.randn(parameter.shape, generator=source, dtype=torch.float64) / fan_in**0.5
    return network


def normal(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def relu(x: Tensor) -> Tensor:
    return x.clamp(min=0)


def affine(layer: nn.Linear, x: Tensor) -> Tensor:
    return x @ layer.weight.T + layer.bias


def convolve(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return functional.conv2d(x, layer.weight, layer.bias, padding=layer.weight.shape[-1] // 2)


def batch_norm(layer: nn.Module, x: Tensor) -> Tensor:
    """Return x (n, c, ...) normalised by the statistics of the batch, with the factors and shifts of the layer."""
    over = [0, *range(2, x.dim())]
    mean, variance = x.mean(over, keepdim=True), x.var(over, correction=0, keepdim=True)
    per_channel = [-1, *[1] * (x.dim() - 2)]
    return (x - mean) / (variance + 1e-5).sqrt() * layer.weight.view(per_channel) + layer.bias.view(per_channel)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, 2).repeat_interleave(2, 3)


def pooled(x: Tensor) -> Tensor:
    """Return the means of squares of 2 by 2 pixels."""
    return (x[..., ::2, ::2] + x[..., ::2, 1::2] + x[..., 1::2, ::2] + x[..., 1::2, 1::2]) / 4


def test_a_residual_network_equals_the_formula() -> None:
    network = randomised(ResidualNetwork(2, 3, channels=5, blocks=2))
    first, *blocks, _, last = network
    x = normal(4, 2, 6, 5)
    y = convolve(first, x)
    for block in blocks:
        y = y + convolve(block.second, relu(convolve(block.first, relu(y))))
    assert torch.allclose(network(x), convolve(last, relu(y)), atol=1e-10)


def multiscale_layers(couplings: int) -> Composition:
    """Return the layers of a multi-scale flow on grey images of 4 by 4."""
    model = FlowModel(architecture="multiscale", alpha=0.05, couplings=couplings, channels=[3, 5], blocks=1)
    return build_flow(model, (4, 4)).transforms[-1].double()


def couplings_of(layers: Composition) -> list[AffineCoupling]:
    return [module for module in layers.modules() if isinstance(module, AffineCoupling)]


def test_a_multiscale_flow_has_the_couplings_of_its_description() -> None:
    """Twice `couplings` at half size, and `couplings` at a quarter, on the half of the channels that remains."""
    found = [
        (len(item.factor), item.network[0].out_channels, item.parity) for item in couplings_of(multiscale_layers(3))
    ]
    half, quarter = [(2, 3, 0), (2, 3, 1), (2, 3, 0)], [(4, 5, 0), (4, 5, 1), (4, 5, 0)]
    assert found == half + half + quarter


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (0, lambda row, column: (row + column) % 2 == 1),
        (1, lambda row, column: (row + column) % 2 == 0),
        (2, lambda row, column: row % 2 == 1),
        (3, lambda row, column: row % 2 == 0),
    ],
    ids=["one colour", "the other colour", "odd rows", "even rows"],
)
def test_a_multiscale_flow_changes_checkerboards_and_then_channels(
    place: int, changes: Callable[[int, int], bool]
) -> None:
    """Dinh et al. 2017, figure 3: a squeeze puts the even rows of a grey image into the first half of the channels."""
    layers = multiscale_layers(2)
    x = normal(1, 16)
    before, _ = layers(x)
    pixel_of = (before[0, :, None] == x[0]).long().argmax(1)
    randomised(couplings_of(layers)[place])
    after, _ = layers(x)
    found = sorted(pixel_of[before[0] != after[0]].tolist())
    assert found == [4 * row + column for row in range(4) for column in range(4) if changes(row, column)]


@pytest.mark.parametrize("shape", [(3, 32, 32), (64, 64)])
def test_the_residual_generator_equals_the_formula(shape: tuple[int, ...]) -> None:
    network = randomised(ResidualGenerator(7, 4, shape)).train()
    z = normal(3, 7)
    y = affine(network.start, z).view(3, 4, 4, 4)
    for block in network.blocks:
        h = convolve(block.convolutions[0], doubled(relu(batch_norm(block.norms[0], y))))
        y = convolve(block.convolutions[1], relu(batch_norm(block.norms[1], h))) + doubled(convolve(block.shortcut, y))
    images = convolve(network.last, relu(batch_norm(network.norm, y))).tanh()
    assert torch.allclose(network(z), images.view(3, *shape), atol=1e-9)


@pytest.mark.parametrize("penalised", [False, True])
@pytest.mark.parametrize("shape", [(3, 32, 32), (64, 64)])
def test_the_residual_critic_equals_the_formula(shape: tuple[int, ...], penalised: bool) -> None:
    network = randomised(ResidualCritic(4, shape, spectral=False, penalised=penalised))
    images = normal(3, *shape)
    y = images.view(3, -1, *shape[-2:])
    *halving, last_but_one, last = network.blocks
    assert len(halving) == (2 if shape[-1] == 32 else 3)
    for place, block in enumerate(halving):
        h = convolve(block.convolutions[1], relu(convolve(block.convolutions[0], relu(y) if place else y)))
        y = pooled(h + convolve(block.shortcut, y))
    for block in (last_but_one, last):
        y = y + convolve(block.convolutions[1], relu(convolve(block.convolutions[0], relu(y))))
    assert y.shape[2:] == (8, 8)
    values = affine(network.last, relu(y).sum((2, 3)))[:, 0]
    assert torch.allclose(network(images).double(), values, rtol=1e-5, atol=1e-5)


def test_the_residual_networks_of_a_gan_start_with_xaviers_weights() -> None:
    """Uniform up to gain (6 / (fan in + fan out))^(1/2), with gain 2^(1/2) for 3 by 3 filters, and biases of 0."""
    torch.manual_seed(0)
    shape = (3, 32, 32)
    networks = ResidualGenerator(50, 16, shape), ResidualCritic(16, shape, spectral=False, penalised=False)
    layers = [m for network in networks for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 22
    for layer in layers:
        outputs, inputs, *kernel = layer.weight.shape
        fans = (inputs + outputs) * math.prod(kernel)
        limit = math.sqrt(6 / fans) * (math.sqrt(2) if kernel == [3, 3] else 1)
        assert layer.weight.abs().max() <= limit
        assert layer.weight.abs().max() > 0.8 * limit
        assert not layer.bias.any()


def test_the_generator_of_linear_layers_equals_the_formula() -> None:
    network = randomised(Generator(3, [5, 6, 4], (2, 3), LEAK)).train()
    linear = [layer for layer in network.layers if isinstance(layer, nn.Linear)]
    norms = [layer for layer in network.layers if isinstance(layer, nn.BatchNorm1d)]
    z = normal(8, 3)
    y = leaky(affine(linear[0], z))
    for layer, norm in zip(linear[1:-1], norms, strict=True):
        y = leaky(batch_norm(norm, affine(layer, y)))
    assert torch.allclose(network(z), affine(linear[-1], y).tanh().view(8, 2, 3), atol=1e-10)


def leaky(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, LEAK * x)


def test_the_discriminator_equals_the_formula() -> None:
    """In training, dropout with rate p multiplies each hidden value by 0, or by 1 / (1 - p)."""
    network = randomised(Discriminator((2, 3), [5, 4], LEAK, dropout=0.3))
    first, second, last = (layer for layer in network.layers if isinstance(layer, nn.Linear))
    images = normal(50, 2, 3)

    def logits(drop: Callable[[Tensor], Tensor]) -> Tensor:
        y = drop(leaky(affine(first, images.view(50, 6))))
        return affine(last, drop(leaky(affine(second, y))))[:, 0]

    assert torch.allclose(network.eval()(images), logits(lambda y: y), atol=1e-10)
    torch.manual_seed(0)
    found = network.train()(images)
    torch.manual_seed(0)
    assert torch.allclose(found, logits(lambda y: functional.dropout(y, 0.3)), atol=1e-10)


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "relu": relu,
    "elu": lambda x: torch.where(x > 0, x, x.exp() - 1),
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [[], [5], [7, 4]])
def test_a_vae_equals_the_formula(hidden: list[int], activation: str) -> None:
    """The decoder has the hidden widths of the encoder in reverse order."""
    settings = {"latent": 3, "hidden": hidden, "activation": activation, "decoder_shift": -2.0, "planar_layers": 2}
    network = randomised(Vae(VaeModel.model_validate(settings), (2, 3)))
    encoder, decoder = ([m for m in part if isinstance(m, nn.Linear)] for part in (network.encoder, network.decoder))
    assert [(m.in_features, m.out_features) for m in encoder] == list(pairwise([6, *hidden]))
    assert [(m.in_features, m.out_features) for m in decoder] == list(pairwise([3, *hidden[::-1]]))
    images, latents = normal(4, 2, 3), normal(4, 3)
    features, y = images.view(4, 6), latents
    for layer in encoder:
        features = ACTIVATIONS[activation](affine(layer, features))
    for layer in decoder:
        y = ACTIVATIONS[activation](affine(layer, y))
    posterior, parameters = network.encode(images), affine(network.posterior, features)
    assert torch.allclose(posterior.mean, parameters[:, :3], atol=1e-10)
    assert torch.allclose(posterior.log_variance, parameters[:, 3:], atol=1e-10)
    assert torch.allclose(posterior.layers, affine(network.flow, features).view(4, 2, 7) / 3**0.5, atol=1e-10)
    assert torch.allclose(network.logits(latents), affine(network.likelihood, y).view(4, 2, 3) - 2, atol=1e-10)

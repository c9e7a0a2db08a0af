"""The flows by name, RealNVP, NICE and a convolutional flow with two scales, and the networks of their couplings."""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn.functional import relu

from triptych.models.common.linear import Linear, perceptron
from triptych.models.flow.coupling import AdditiveCoupling, AffineCoupling, checkerboard, halves
from triptych.models.flow.dequantization import Dequantize, VariationalDequantize
from triptych.models.flow.image_transforms import Reorder, Reshape, Shape, Split, Squeeze
from triptych.models.flow.normalization import ActNorm, Scaling
from triptych.models.flow.preparation import Logit, Scale
from triptych.models.flow.settings import Dequantizer, Model
from triptych.models.flow.transform import Composition, Flow, Transform


def build_flow(model: Model, image_shape: tuple[int, ...]) -> Flow:
    """Return a new flow from 8-bit images (n, *image_shape) to the standard normal base (n, D).

    Its four transforms are: dequantise, prepare, flatten, and the layers as one composition.
    """
    return Flow(
        [
            _dequantizer(model.variational_dequantization, image_shape),
            Logit(model.alpha) if model.preparation == "logit" else Scale(),
            _flattening(model, image_shape),
            LAYERS[model.architecture](model, image_shape),
        ]
    )


def _dequantizer(settings: Dequantizer | None, image_shape: tuple[int, ...]) -> Transform:
    if settings is None:
        return Dequantize()
    size = math.prod(image_shape)
    return VariationalDequantize(
        checkerboard(image_shape),
        (perceptron_coupling(size, index, settings.hidden, context=size) for index in range(settings.couplings)),
    )


def _flattening(model: Model, image_shape: tuple[int, ...]) -> Transform:
    """Return the map from images (n, *image_shape) to vectors (n, D), in the order that the couplings expect."""
    flat = Reshape(image_shape, (math.prod(image_shape),))
    return Composition([flat, Reorder(checkerboard(image_shape))]) if model.architecture == "realnvp" else flat


def _realnvp(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Return affine couplings with perceptrons, alternating between a checkerboard and its reverse.

    The pixels are already in the order that `checkerboard` returns. If asked for, an ActNorm with one shift and one
    factor for all pixels comes first. With one factor per pixel, noise at the border, where pixels hardly vary, would
    become as large as the strokes.
    """
    size = math.prod(image_shape)
    normalization = [ActNorm((1,))] if model.activation_norm else []
    couplings = [perceptron_coupling(size, index, model.hidden, context=0) for index in range(model.couplings)]
    return Composition([*normalization, *couplings])


def perceptron_coupling(size: int, index: int, hidden: list[int], context: int) -> AffineCoupling:
    """Return affine coupling number `index` of `size` dimensions, whose network also receives `context` numbers."""
    sizes = halves(size)
    kept, changed = (sizes[1], sizes[0]) if index % 2 else sizes
    network = multilayer_perceptron([kept + context, *hidden, 2 * changed], zero=True)
    return AffineCoupling(sizes, index % 2, network, (changed,))


def _nice(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Return additive couplings on alternating halves of the flattened image, each followed by a `Scaling`."""
    size = math.prod(image_shape)

    def layer(index: int) -> Composition:
        sizes = halves(size)
        kept, changed = reversed(sizes) if index % 2 else sizes
        network = multilayer_perceptron([kept, *model.hidden, changed], zero=False)
        return Composition([AdditiveCoupling(sizes, index % 2, network), Scaling(size)])

    return Composition(layer(index) for index in range(model.couplings))


def _multiscale(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Return couplings at a half and, after a split, at a quarter of the image size (Dinh et al. 2017, section 3.6).

    A squeeze turns the checkerboard of the full image into two pairs of channels: first and last, second and third of
    each four. The first couplings act on these pairs, so their networks work at half the image size.
    """
    inside: Shape = image_shape if len(image_shape) == 3 else (1, *image_shape)
    upper = Squeeze(inside)
    lower = Squeeze(upper.squeezed)
    fours = torch.arange(upper.squeezed[0]).view(-1, 4)
    pairs = torch.cat([fours[:, [0, 3]].flatten(), fours[:, [1, 2]].flatten()])
    rest: Shape = (lower.squeezed[0] // 2, *lower.squeezed[1:])
    first, second = model.channels
    return Composition(
        [
            Reshape((math.prod(image_shape),), inside),
            upper,
            Reorder(pairs),
            *_channel_couplings(model, upper.squeezed, first),
            Reorder(pairs.argsort()),
            *_channel_couplings(model, upper.squeezed, first),
            lower,
            Split(Composition(_channel_couplings(model, rest, second))),
            Reshape(lower.squeezed, (math.prod(image_shape),)),
        ]
    )


def _channel_couplings(model: Model, shape: Shape, width: int) -> Iterator[Transform]:
    """Yield affine couplings on alternating halves of the channels."""
    sizes = halves(shape[0])
    for index in range(model.couplings):
        if model.activation_norm:
            yield ActNorm((shape[0], 1, 1))
        network = ResidualNetwork(sizes[0], 2 * sizes[1], width, model.blocks)
        yield AffineCoupling(sizes, index % 2, network, (sizes[1], 1, 1))


LAYERS = {"realnvp": _realnvp, "nice": _nice, "multiscale": _multiscale}


def multilayer_perceptron(sizes: list[int], *, zero: bool) -> nn.Sequential:
    """Return linear layers with ReLU between them, from `sizes[0]` to `sizes[-1]`.

    If `zero`, weights and biases of the last layer start at zero.
    """
    hidden = perceptron(sizes[:-1], nn.ReLU)
    last = Linear(sizes[-2], sizes[-1])
    return nn.Sequential(*hidden, _start_at_zero(last) if zero else last)


class ResidualNetwork(nn.Sequential):
    """Convolution, residual blocks and a convolution that starts at zero: (n, inputs, h, w) to (n, outputs, h, w)."""

    def __init__(self, inputs: int, outputs: int, channels: int, blocks: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.ReLU(),
            _start_at_zero(nn.Conv2d(channels, outputs, 3, padding=1)),
        )


class ResidualBlock(nn.Module):
    """x + conv(relu(conv(relu(x)))) (He et al. 2016). The second convolution starts at zero (Zhang et al. 2019)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = _start_at_zero(nn.Conv2d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(relu(self.first(relu(x))))


def _start_at_zero(layer: nn.Linear | nn.Conv2d) -> nn.Linear | nn.Conv2d:
    """Return the layer after its weights and biases have been set to zero."""
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer

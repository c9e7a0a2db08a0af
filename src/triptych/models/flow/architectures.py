"""The flows by name: RealNVP and NICE on vectors, and convolutional flows with one or several scales."""

import math
from collections.abc import Iterator

import torch

from triptych.models.flow.coupling import (
    AdditiveCoupling,
    AffineCoupling,
    CheckerboardCoupling,
    checkerboard,
    halves,
)
from triptych.models.flow.dequantization import Dequantize, VariationalDequantize
from triptych.models.flow.image_transforms import MapShape, Reorder, Reshape, Split, Squeeze
from triptych.models.flow.networks import GatedNetwork, ResidualNetwork, multilayer_perceptron
from triptych.models.flow.normalization import ActNorm, Scaling
from triptych.models.flow.preparation import Logit, Scale
from triptych.models.flow.settings import Model
from triptych.models.flow.transform import Composition, Flow, Transform


def build_flow(model: Model, image_shape: tuple[int, ...]) -> Flow:
    """Return a new flow from 8-bit images (n, *image_shape) to the standard normal base (n, D).

    Its four transforms are: dequantise, prepare, flatten, and the layers as one composition.
    """
    return Flow(
        [
            _dequantizer(model, image_shape),
            Logit(model.alpha) if model.preparation == "logit" else Scale(),
            _flattening(model, image_shape),
            LAYERS[model.architecture](model, image_shape),
        ]
    )


def _dequantizer(model: Model, image_shape: tuple[int, ...]) -> Transform:
    settings = model.variational_dequantization
    if settings is None:
        return Dequantize()
    if model.architecture == "gated":
        shape, (width,) = _with_channels(image_shape), settings.hidden
        couplings = [
            checkerboard_coupling(shape, index, width, model.blocks, context=shape[0])
            for index in range(settings.couplings)
        ]
        return VariationalDequantize(torch.arange(shape[0]), couplings, shape)
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
    inside = _with_channels(image_shape)
    upper = Squeeze(inside)
    lower = Squeeze(upper.squeezed)
    fours = torch.arange(upper.squeezed[0]).view(-1, 4)
    pairs = torch.cat([fours[:, [0, 3]].flatten(), fours[:, [1, 2]].flatten()])
    rest: MapShape = (lower.squeezed[0] // 2, *lower.squeezed[1:])
    first, second = model.channels
    return Composition(
        [
            Reshape((math.prod(image_shape),), inside),
            upper,
            Reorder(pairs),
            *_channel_couplings(model, upper.squeezed, first, model.couplings),
            Reorder(pairs.argsort()),
            *_channel_couplings(model, upper.squeezed, first, model.couplings),
            lower,
            Split(Composition(_channel_couplings(model, rest, second, model.couplings))),
            Reshape(lower.squeezed, (math.prod(image_shape),)),
        ]
    )


def _gated(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Return couplings with gated networks on checkerboards of the full image, then those at smaller scales if any."""
    inside = _with_channels(image_shape)
    full, *smaller = model.channels
    couplings = [
        checkerboard_coupling(inside, index, full, model.blocks, context=0) for index in range(model.couplings)
    ]
    scales = _smaller_scales(model, inside, *smaller) if smaller else []
    flat = (math.prod(image_shape),)
    return Composition([Reshape(flat, inside), *couplings, *scales, Reshape(inside, flat)])


def _smaller_scales(model: Model, inside: MapShape, half: int, quarter: int) -> list[Transform]:
    """Return couplings on channels at half and, after a split, at a quarter of the image size."""
    upper = Squeeze(inside)
    rest: MapShape = (upper.squeezed[0] // 2, *upper.squeezed[1:])
    lower = Squeeze(rest)
    inner = Composition(
        [lower, *_channel_couplings(model, lower.squeezed, quarter, 2 * model.couplings), Reshape(lower.squeezed, rest)]
    )
    couplings = _channel_couplings(model, upper.squeezed, half, model.couplings)
    return [upper, *couplings, Split(inner), Reshape(upper.squeezed, inside)]


def checkerboard_coupling(shape: MapShape, index: int, width: int, blocks: int, context: int) -> CheckerboardCoupling:
    """Return coupling number `index` on a checkerboard, whose network also receives `context` channels."""
    return CheckerboardCoupling(shape, index % 2, GatedNetwork(shape[0] + context, 2 * shape[0], width, blocks))


def _channel_couplings(model: Model, shape: MapShape, width: int, count: int) -> Iterator[Transform]:
    """Yield affine couplings on alternating halves of the channels."""
    sizes = halves(shape[0])
    network = GatedNetwork if model.architecture == "gated" else ResidualNetwork
    for index in range(count):
        if model.activation_norm:
            yield ActNorm((shape[0], 1, 1))
        yield AffineCoupling(sizes, index % 2, network(sizes[0], 2 * sizes[1], width, model.blocks), (sizes[1], 1, 1))


def _with_channels(image_shape: tuple[int, ...]) -> MapShape:
    return image_shape if len(image_shape) == 3 else (1, *image_shape)


LAYERS = {"realnvp": _realnvp, "nice": _nice, "multiscale": _multiscale, "gated": _gated}

"""The flows by name: RealNVP, NICE with a diagonal scale, and a convolutional flow of two scales."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError
from triptych.models.flow.coupling import AdditiveCoupling, AffineCoupling, checkerboard, halves
from triptych.models.flow.image import Reorder, Reshape, Shape, Split, Squeeze
from triptych.models.flow.network import ResidualNetwork, multilayer_perceptron
from triptych.models.flow.normalization import ActNorm, Scaling
from triptych.models.flow.preparation import Dequantize, Logit, Scale, VariationalDequantize
from triptych.models.flow.transform import Composition, Flow, Transform

if TYPE_CHECKING:
    from triptych.models.flow.settings import Dequantizer, Model


def realnvp(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Affine couplings on a checkerboard and its reverse, by turns, with multilayer perceptrons.

    They act on pixels in the order that `checkerboard` gives. The normalisation, where asked for, stands before the
    first: one shift and one factor for all pixels. With one a pixel, the noise at the border would be as large as the
    strokes.
    """
    size = math.prod(image_shape)
    normalization = [ActNorm((1,))] if model.activation_norm else []
    couplings = [perceptron_coupling(size, index, model.hidden, context=0) for index in range(model.couplings)]
    return Composition([*normalization, *couplings])


def perceptron_coupling(size: int, index: int, hidden: list[int], context: int) -> AffineCoupling:
    """Coupling number `index` of so many dimensions, affine; its network also sees `context` numbers."""
    sizes = halves(size)
    kept, moved = (sizes[1], sizes[0]) if index % 2 else sizes
    network = multilayer_perceptron([kept + context, *hidden, 2 * moved], zero=True)
    return AffineCoupling(sizes, index % 2, network, (moved,))


def nice(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Additive couplings on halves of the flattened image, by turns, each followed by a factor a dimension.

    Raises TriptychError if the number of pixels is odd.
    """
    size = math.prod(image_shape)
    if size % 2:
        shape = " by ".join(map(str, image_shape))
        raise TriptychError(f"nice halves its input, but an image of {shape} has an odd number of pixels, {size}")

    def layer(index: int) -> Composition:
        network = multilayer_perceptron([size // 2, *model.hidden, size // 2], zero=False)
        return Composition([AdditiveCoupling(halves(size), index % 2, network), Scaling(size)])

    return Composition(layer(index) for index in range(model.couplings))


def multiscale(model: Model, image_shape: tuple[int, ...]) -> Composition:
    """Squeeze, couplings at half the size, squeeze, split, couplings at a quarter (Dinh et al. 2017, section 3.6).

    The first couplings stand on the checkerboard of the full image, which a squeeze turns into two pairs of channels,
    first and last, second and third; their networks work at half the size, at a quarter of the arithmetic. Raises
    TriptychError if the image cannot be squeezed twice.
    """
    upper = Squeeze((1, *image_shape))
    lower = Squeeze(upper.squeezed)
    pairs = torch.tensor([0, 3, 1, 2])
    rest: Shape = (lower.squeezed[0] // 2, *lower.squeezed[1:])
    first, second = model.channels
    return Composition(
        [
            Reshape((math.prod(image_shape),), (1, *image_shape)),
            upper,
            Reorder(pairs),
            *_convolutional(model, upper.squeezed, first),
            Reorder(pairs.argsort()),
            *_convolutional(model, upper.squeezed, first),
            lower,
            Split(Composition(_convolutional(model, rest, second))),
            Reshape(lower.squeezed, (math.prod(image_shape),)),
        ]
    )


def _convolutional(model: Model, shape: Shape, width: int) -> Iterator[Transform]:
    """Couplings on halves of the channels, by turns."""
    sizes = halves(shape[0])
    for index in range(model.couplings):
        if model.activation_norm:
            yield ActNorm((shape[0], 1, 1))
        network = ResidualNetwork(sizes[0], 2 * sizes[1], width, model.blocks)
        yield AffineCoupling(sizes, index % 2, network, (sizes[1], 1, 1))


def flattening(model: Model, image_shape: tuple[int, ...]) -> Transform:
    """Images (n, *image_shape) to vectors (n, D), in the order in which the architecture's couplings split them."""
    flat = Reshape(image_shape, (math.prod(image_shape),))
    return Composition([flat, Reorder(checkerboard(image_shape))]) if model.architecture == "realnvp" else flat


LAYERS = {"realnvp": realnvp, "nice": nice, "multiscale": multiscale}


def build_flow(model: Model, image_shape: tuple[int, ...]) -> Flow:
    """From 8-bit images (n, *image_shape) to a standard normal base (n, D).

    Its four steps: dequantise, prepare, flatten, and the layers as one composition. Raises TriptychError if the
    architecture does not fit the image.
    """
    return Flow(
        [
            dequantizer(model.variational_dequantization, image_shape),
            Logit(model.alpha) if model.preparation == "logit" else Scale(),
            flattening(model, image_shape),
            LAYERS[model.architecture](model, image_shape),
        ]
    )


def dequantizer(settings: Dequantizer | None, image_shape: tuple[int, ...]) -> Transform:
    """Uniform noise, or noise from a conditional flow, whose couplings stand on the checkerboard."""
    if settings is None:
        return Dequantize()
    size = math.prod(image_shape)
    return VariationalDequantize(
        checkerboard(image_shape),
        (perceptron_coupling(size, index, settings.hidden, context=size) for index in range(settings.couplings)),
    )

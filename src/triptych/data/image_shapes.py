"""Names of the splits, shapes of the images of each data set, and limits for images from users."""

from collections.abc import Sequence
from math import prod

from triptych.core.errors import TriptychError

Shape = tuple[int, ...]
"""The shape of one image: (h, w) if it is grey, (3, h, w) if it is in colour."""

SPLITS = ("train", "valid", "test")
IMAGE_SHAPES: dict[str, Shape] = {
    "mnist": (28, 28),
    "binarized_mnist": (28, 28),
    "cifar10": (3, 32, 32),
    "fashion_mnist": (28, 28),
    "kmnist": (28, 28),
}
"""The published data sets."""
CLASSES = 10  # of published images, and of classifiers
MOST_CLASSES = 256  # of own images
LEAST_SIDE, MOST_SIDE = 8, 64  # of images, in pixels
MOST_IMAGES = 2_000_000  # per split
MOST_VALUES = 3 * MOST_SIDE**2  # per image


def refuse_too_large(label: str, shape: tuple[int, ...]) -> None:
    """Raise TriptychError if an array of images or labels of this shape exceeds the limits."""
    if shape and (shape[0] > MOST_IMAGES or prod(shape[1:]) > MOST_VALUES):
        raise TriptychError(
            f"{label} has the shape {shape}, but a split may hold {MOST_IMAGES:,} images of {MOST_VALUES:,} values"
        )


def colours(shape: Sequence[int]) -> str:
    """Return `grey` or `colour` for the shape of an image."""
    return "colour" if len(shape) == 3 else "grey"


def in_words(shape: Sequence[int]) -> str:
    """Return the shape of images in words.

    >>> in_words((3, 32, 32))
    'colour images of 32 by 32'
    """
    return f"{colours(shape)} images of {shape[-2]} by {shape[-1]}"


def image_shape(array: Sequence[int], label: str) -> Shape:
    """Return the shape of one image, from the shape of an array of grey or colour images, colours first or last.

    Raises TriptychError, which begins with `label`, unless it is one of square images of 8 to 64 pixels.

    >>> image_shape((300, 48, 48, 3), "")
    (3, 48, 48)
    """
    sides, channels = tuple(array[1:]), 1
    if len(sides) == 3:
        first, *_, last = sides
        channels, sides = (last, sides[:2]) if last in (1, 3) else (first, sides[1:])
    if len(sides) != 2 or channels not in (1, 3):
        raise TriptychError(f"{label} has the shape {tuple(array)}, but images must be (n, h, w) or (n, 3, h, w)")
    height, width = sides
    if height != width or not LEAST_SIDE <= height <= MOST_SIDE:
        raise TriptychError(
            f"{label} has images of {width} by {height} pixels, but they must be square, {LEAST_SIDE} to {MOST_SIDE} "
            "pixels wide: crop and resize them"
        )
    return sides if channels == 1 else (3, *sides)

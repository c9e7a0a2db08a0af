"""Names of the splits, shapes of the images of each data set, and upper limits for image files."""

from math import prod

from triptych.core.errors import TriptychError

SPLITS = ("train", "valid", "test")
IMAGE_SHAPES = {"mnist": (28, 28), "binarized_mnist": (28, 28), "cifar10": (3, 32, 32)}
CLASSES = 10
MOST_IMAGES = 2_000_000  # per split
MOST_VALUES = prod(IMAGE_SHAPES["cifar10"])  # per image


def refuse_too_large(label: str, shape: tuple[int, ...]) -> None:
    """Raise TriptychError if an array of images or labels of this shape exceeds the limits."""
    if shape and (shape[0] > MOST_IMAGES or prod(shape[1:]) > MOST_VALUES):
        raise TriptychError(
            f"{label} has the shape {shape}, but a split may hold {MOST_IMAGES:,} images of {MOST_VALUES:,} values"
        )

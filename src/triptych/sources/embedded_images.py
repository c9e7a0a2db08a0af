"""Images that ship with the package: 12,000 digits of MNIST, and the same digits in colour (see embedded/README.md)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triptych.data.npz_files import read_npz
from triptych.data.raw_images import ImageSet

FILE = Path(__file__).parent / "embedded" / "mnist-12000.npz"
EMBEDDED = ("mnist", "binarized_mnist", "cifar10")  # the data sets that these images stand for
COLOURED = "cifar10"  # coloured digits stand for it
MARGIN = 2  # pixels around a coloured digit
COLOUR_SEED = 0


def embedded_images(images: str) -> ImageSet:
    """Return 10,000 training images and 1,000 each of valid and test, with labels.

    `mnist` and `binarized_mnist` are 8-bit digits (n, 28, 28), which the stage `prepare` binarises. `cifar10` are
    coloured digits (n, 3, 32, 32).
    """
    digits = read_npz(FILE)
    if images != COLOURED:
        return ImageSet(digits, "12,000 digits of MNIST", "embedded")
    rng = np.random.default_rng(COLOUR_SEED)
    coloured = {name: _coloured(array, rng) if name.startswith("x_") else array for name, array in digits.items()}
    return ImageSet(coloured, "12,000 digits of MNIST in colour (not CIFAR-10)", "embedded")


def _coloured(digits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return digits (n, 28, 28) as images (n, 3, 32, 32), each with one dark ground and one light ink."""
    ground, ink = (rng.integers(low, low + 128, (len(digits), 3, 1, 1)) for low in (0, 128))
    share = np.pad(digits, ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN)))[:, None] / np.float32(255)
    return (ground + (ink - ground) * share).round().astype(np.uint8)

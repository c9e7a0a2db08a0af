"""The images that ship inside a dependency: scikit-learn's 1,797 handwritten digits, and its two photographs.

The digits, 8 by 8 pixels, are the test set of "Optical recognition of handwritten digits" (Alpaydin and Kaynak 1998),
not MNIST. Resized, and multiplied by small rotations and shifts, they are enough to run every experiment without a
network. Crops of the photographs stand in for CIFAR-10. A split holds variations of its own originals, or crops of its
own parts of the photographs, so that nothing of a test image is ever trained on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triptych.data.raw_images import CLASSES, DIGIT, IMAGE_SHAPES, SPLITS, ImageSet

if TYPE_CHECKING:
    from triptych.data.settings import Embedded, Splits

INK = 20  # as in MNIST: the digit fills 20 of the 28 pixels
STRIPS = {"train": (0, 1, 3, 5, 6, 8), "valid": (2, 7), "test": (4, 9)}  # tenths of a photograph's width
TENTHS = 10


def digits(settings: Embedded, splits: Splits) -> ImageSet:
    """As many images (n, 28, 28) uint8 with labels as `splits` asks for, shuffled, the same for the same settings."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(bunch.images))
    sizes = {split: getattr(splits, split) for split in SPLITS}
    shares = np.cumsum([sizes["train"], sizes["valid"]]) / sum(sizes.values())
    arrays: dict[str, np.ndarray] = {}
    for split, originals in zip(SPLITS, np.split(order, (shares * len(order)).astype(int)), strict=True):
        chosen = rng.permutation(np.resize(originals, sizes[split]))
        arrays[f"x_{split}"] = np.stack([_vary(bunch.images[index], settings, rng) for index in chosen])
        arrays[f"y_{split}"] = bunch.target[chosen].astype(np.uint8)
    return ImageSet(arrays, "scikit-learn's 1,797 handwritten digits, resized and varied (not MNIST)", "embedded")


def _vary(digit: np.ndarray, settings: Embedded, rng: np.random.Generator) -> np.ndarray:
    """One 8 by 8 digit of 0 to 16, enlarged to 20 by 20, turned and moved on a canvas of 28 by 28, and sharpened."""
    from PIL import Image

    small = Image.fromarray((digit * (255 / 16)).round().astype(np.uint8))
    canvas = Image.new("L", DIGIT)
    margin = (DIGIT[0] - INK) // 2
    shift = rng.integers(-settings.max_shift, settings.max_shift, size=2, endpoint=True)
    canvas.paste(small.resize((INK, INK), Image.Resampling.BICUBIC), (margin + int(shift[0]), margin + int(shift[1])))
    angle = rng.uniform(-settings.max_rotation, settings.max_rotation)
    blurred = np.asarray(canvas.rotate(angle, Image.Resampling.BILINEAR), np.float32)
    return ((blurred - 127.5) * settings.contrast + 127.5).round().clip(0, 255).astype(np.uint8)


def photographs(settings: Embedded, splits: Splits) -> ImageSet:
    """Crops (n, 3, 32, 32) uint8 of the two photographs, some mirrored, as many as `splits` asks for.

    A crop's class is the photograph and the fifth of its height, from the top, that it comes from. Each split takes its
    crops from upright strips of its own.
    """
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    bands = CLASSES // len(photos)
    rng = np.random.default_rng(settings.seed)
    side = IMAGE_SHAPES["cifar10"][1]
    sizes = {split: getattr(splits, split) for split in SPLITS}
    arrays: dict[str, np.ndarray] = {}
    for split, strips in STRIPS.items():
        labels = rng.permutation(np.resize(np.arange(CLASSES), sizes[split])).astype(np.uint8)
        crops = np.empty((len(labels), *IMAGE_SHAPES["cifar10"]), np.uint8)
        for crop, label in zip(crops, labels, strict=True):
            photo, band = photos[label // bands], int(label) % bands
            height, width = photo.shape[0] // bands, photo.shape[1] // TENTHS
            top = band * height + rng.integers(height - side, endpoint=True)
            left = rng.choice(strips) * width + rng.integers(width - side, endpoint=True)
            piece = photo[top : top + side, left : left + side].transpose(2, 0, 1)
            crop[:] = piece[..., ::-1] if rng.random() < 0.5 else piece
        arrays |= {f"x_{split}": crops, f"y_{split}": labels}
    return ImageSet(arrays, "crops of scikit-learn's two photographs (not CIFAR-10)", "embedded")


EMBEDDED = {"mnist": digits, "binarized_mnist": digits, "cifar10": photographs}

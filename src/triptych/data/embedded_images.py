"""Images that ship with scikit-learn: 1,797 handwritten digits and two photographs.

The digits, 8 by 8 pixels, are the test set of "Optical recognition of handwritten digits" (Alpaydin and Kaynak 1998),
not MNIST. They are enlarged, and multiplied by small random rotations and shifts. Crops of the photographs stand in for
CIFAR-10. Each split uses its own digits, or its own parts of the photographs, so that no test image is trained on.
"""

from __future__ import annotations

import numpy as np

from triptych.data.image_shapes import CLASSES, IMAGE_SHAPES
from triptych.data.raw_images import ImageSet
from triptych.data.settings import Embedded, Splits

SIDE = 28  # pixels of a digit's image
INK = 20  # pixels of the digit itself, as in MNIST
CROP_SHAPE = IMAGE_SHAPES["cifar10"]
STRIPS = {"train": (0, 1, 3, 5, 6, 8), "valid": (2, 7), "test": (4, 9)}  # tenths of the photograph's width, per split
TENTHS = 10


def embedded_images(images: str, settings: Embedded, splits: Splits) -> ImageSet:
    """Return as many images of each split as `splits` says; equal settings give equal images."""
    return _photographs(settings, splits) if images == "cifar10" else _digits(settings, splits)


def _digits(settings: Embedded, splits: Splits) -> ImageSet:
    """Return digits (n, 28, 28) with their labels, shuffled."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(bunch.images))
    sizes = splits.model_dump()
    shares = np.cumsum([sizes["train"], sizes["valid"]]) / sum(sizes.values())
    arrays: dict[str, np.ndarray] = {}
    for split, originals in zip(sizes, np.split(order, (shares * len(order)).astype(int)), strict=True):
        chosen = rng.permutation(np.resize(originals, sizes[split]))
        arrays[f"x_{split}"] = np.stack([_vary(bunch.images[index], settings, rng) for index in chosen])
        arrays[f"y_{split}"] = bunch.target[chosen].astype(np.uint8)
    return ImageSet(arrays, "scikit-learn's 1,797 handwritten digits, resized and varied (not MNIST)", "embedded")


def _vary(digit: np.ndarray, settings: Embedded, rng: np.random.Generator) -> np.ndarray:
    """Return a digit (8, 8) of 0 to 16 as an image (28, 28): enlarged to 20 by 20, shifted, rotated and sharpened."""
    from PIL import Image

    small = Image.fromarray((digit * (255 / 16)).round().astype(np.uint8))
    canvas = Image.new("L", (SIDE, SIDE))
    margin = (SIDE - INK) // 2
    shift = rng.integers(-settings.max_shift, settings.max_shift, size=2, endpoint=True)
    canvas.paste(small.resize((INK, INK), Image.Resampling.BICUBIC), (margin + int(shift[0]), margin + int(shift[1])))
    angle = rng.uniform(-settings.max_rotation, settings.max_rotation)
    blurred = np.asarray(canvas.rotate(angle, Image.Resampling.BILINEAR), np.float32)
    return ((blurred - 127.5) * settings.contrast + 127.5).round().clip(0, 255).astype(np.uint8)


def _photographs(settings: Embedded, splits: Splits) -> ImageSet:
    """Return crops (n, 3, 32, 32) of the photographs; each crop is mirrored with probability 1/2.

    The class of a crop is its photograph and the fifth of the height, from the top, that it comes from.
    """
    from sklearn.datasets import load_sample_images

    photos = load_sample_images().images
    rng = np.random.default_rng(settings.seed)
    sizes = splits.model_dump()
    arrays: dict[str, np.ndarray] = {}
    for split, strips in STRIPS.items():
        labels = rng.permutation(np.resize(np.arange(CLASSES), sizes[split])).astype(np.uint8)
        crops = np.empty((len(labels), *CROP_SHAPE), np.uint8)
        for crop, label in zip(crops, labels, strict=True):
            crop[:] = _crop(photos, int(label), strips, rng)
        arrays |= {f"x_{split}": crops, f"y_{split}": labels}
    return ImageSet(arrays, "crops of scikit-learn's two photographs (not CIFAR-10)", "embedded")


def _crop(photos: list[np.ndarray], label: int, strips: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    bands, side = CLASSES // len(photos), CROP_SHAPE[1]
    photo, band = photos[label // bands], label % bands
    height, width = photo.shape[0] // bands, photo.shape[1] // TENTHS
    top = band * height + rng.integers(height - side, endpoint=True)
    left = rng.choice(strips) * width + rng.integers(width - side, endpoint=True)
    crop = photo[top : top + side, left : left + side].transpose(2, 0, 1)
    return crop[..., ::-1] if rng.random() < 0.5 else crop

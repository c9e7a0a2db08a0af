"""Image sets as they come in: arrays of bytes with labels, checked before anything uses them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.npz_files import read_npz

SPLITS = ("train", "valid", "test")
DIGIT = (28, 28)
IMAGE_SHAPES = {"mnist": DIGIT, "binarized_mnist": DIGIT, "cifar10": (3, 32, 32)}
CLASSES = 10


@dataclass(frozen=True)
class ImageSet:
    """Raw images: for each split `x_<split>` uint8 (n, *shape) and, where known, `y_<split>` uint8 (n,).

    The shape is (28, 28) for grey images and (3, 32, 32), colours first, for CIFAR-10.

    `valid` may be missing: the prepare stage then takes it from the end of `train`. `source` says in words where the
    images come from, without naming a host or a folder; `kind` is `embedded`, `folder` or `public`.
    """

    arrays: Mapping[str, np.ndarray]
    source: str
    kind: str


def check(arrays: Mapping[str, np.ndarray], origin: str, images: str) -> dict[str, np.ndarray]:
    """Refuse images of the wrong type, shape or range and labels that do not fit, in one sentence naming the origin.

    `images` is the kind that they should be. Colours may come first or last; they leave first.
    """
    binary = images == "binarized_mnist"
    known = {f"{kind}_{split}" for split in SPLITS for kind in "xy"}
    for name in ("x_train", "x_test") if binary else ("x_train", "y_train", "x_test", "y_test"):
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "none of them"
            raise TriptychError(f"{origin} has no array {name}: of the names that count, it has {found}")
    checked = {name: array for name, array in arrays.items() if name in known}
    for name, array in checked.items():
        if name.startswith("x_"):
            checked[name] = _checked_images(array, f"{origin}: {name}", IMAGE_SHAPES[images], binary=binary)
    for name, array in checked.items():
        if name.startswith("y_"):
            checked[name] = _checked_labels(array, f"{origin}: {name}", len(checked.get(f"x_{name[2:]}", ())))
    return {name: np.ascontiguousarray(array, dtype=np.uint8) for name, array in checked.items()}


def _checked_images(images: np.ndarray, what: str, shape: tuple[int, ...], *, binary: bool) -> np.ndarray:
    if images.dtype != np.uint8:
        raise TriptychError(f"{what} holds {images.dtype}, but images must be uint8 from 0 to 255")
    if len(shape) == 3 and images.shape[1:] == (*shape[1:], shape[0]):
        images = images.transpose(0, 3, 1, 2)
    if images.shape[1:] != shape:
        wanted = ", ".join(map(str, shape))
        raise TriptychError(f"{what} has the shape {images.shape}, but images must be (n, {wanted})")
    if len(images) == 0:
        raise TriptychError(f"{what} is empty")
    if binary and images.max() > 1:
        raise TriptychError(f"{what} holds the value {images.max()}, but binarised images are made of 0 and 1")
    if not binary and images.max() <= 1:
        raise TriptychError(f"{what} holds nothing above 1, but 8-bit images go from 0 to 255")
    return images


def _checked_labels(labels: np.ndarray, what: str, images: int) -> np.ndarray:
    if labels.shape == (images, 1):  # as some archives of CIFAR-10 have them
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise TriptychError(f"{what} must be a list of whole numbers, but it is {labels.dtype} of shape {labels.shape}")
    if len(labels) != images:
        raise TriptychError(f"{what} has {len(labels)} labels for {images} images")
    if images and (labels.min() < 0 or labels.max() >= CLASSES):
        raise TriptychError(f"{what} must lie in 0 to {CLASSES - 1}, but goes from {labels.min()} to {labels.max()}")
    return labels


def write_npz(path: Path, image_set: ImageSet) -> None:
    """Write the set, our own raw file, as one uncompressed `.npz`, the same bytes for the same images."""
    with path.open("wb") as file:
        np.savez(file, source=np.array(image_set.source), kind=np.array(image_set.kind), **image_set.arrays)


def read_raw(path: Path, images: str) -> ImageSet:
    """Read what `write_npz` wrote. Raises TriptychError if the file is missing, damaged or of other images."""
    arrays = read_npz(path)
    kind, source = _origin(arrays, path)
    grey = kind == "embedded" and images == "binarized_mnist"  # embedded digits are binarised later
    return ImageSet(check(arrays, str(path), "mnist" if grey else images), source, kind)


def read_origin(path: Path) -> tuple[str, str]:
    """Where our own raw file says that its images come from: `kind` and `source`."""
    return _origin(read_npz(path, ("kind", "source")), path)


def _origin(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[str, str]:
    for name in ("kind", "source"):
        if name not in arrays:
            raise TriptychError(f"{path} does not say where its images come from: delete it and fetch again")
    return str(arrays["kind"]), str(arrays["source"])

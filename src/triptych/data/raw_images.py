"""Raw images: checks of any source, and the file `data/raw/<dataset>.npz`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.image_shapes import CLASSES, IMAGE_SHAPES, MOST_CLASSES, image_shape
from triptych.data.npz_files import TEXTS, read_npz

USER_FOLDER = "the user's folder, "  # the descriptions of its files begin with these words


@dataclass(frozen=True)
class ImageSet:
    """Raw images of all splits.

    `arrays` holds for each split `x_<split>`, uint8 (n, h, w) or (n, 3, h, w), and, if labels are known, `y_<split>`,
    uint8 (n,). `valid` and, in own images, `test` may be missing; the prepare stage then takes them from `train`.
    `source` describes the origin without naming a host or a folder; `kind` is `embedded`, `folder`, `public` or `own`.
    """

    arrays: Mapping[str, np.ndarray]
    source: str
    kind: str


def check_images(arrays: Mapping[str, np.ndarray], origin: str, images: str) -> dict[str, np.ndarray]:
    """Return images and labels as contiguous uint8 arrays, colours first.

    `images` is a key of IMAGE_SHAPES, or anything else for own images; colours may be the last axis, too.
    Raises TriptychError, which names `origin`, if an array is missing or has a wrong shape or range.
    """
    for name in _required(images):
        if name not in arrays:
            found = ", ".join(sorted(arrays)) or "no known array"
            raise TriptychError(f"{origin} has no array {name}: it has {found}; rename or add the array")
    shape = IMAGE_SHAPES.get(images) or image_shape(arrays["x_train"].shape, f"{origin}: x_train")
    checked = {}
    for name, array in arrays.items():
        if name.startswith("x_"):
            binary = images == "binarized_mnist"
            checked[name] = checked_images(array, f"{origin}: {name}", shape, binary=binary)
        elif name.startswith("y_"):
            classes = CLASSES if images in IMAGE_SHAPES else MOST_CLASSES
            checked[name] = _checked_labels(array, f"{origin}: {name}", len(arrays.get(f"x_{name[2:]}", ())), classes)
    return {name: np.ascontiguousarray(array, dtype=np.uint8) for name, array in checked.items()}


def _required(images: str) -> tuple[str, ...]:
    """Return the names of the arrays that a data set must have."""
    if images not in IMAGE_SHAPES:
        return ("x_train",)
    return ("x_train", "x_test") if images == "binarized_mnist" else ("x_train", "y_train", "x_test", "y_test")


def checked_images(array: np.ndarray, label: str, shape: Sequence[int], *, binary: bool = False) -> np.ndarray:
    """Return uint8 images in the shape that `in_shape` describes.

    Raises TriptychError, which begins with `label`, if the array has another shape, is empty, or has a wrong range of
    values.
    """
    array = in_shape(array, label, shape)
    if len(array) == 0:
        raise TriptychError(f"{label} is empty; give at least one image")
    if binary and array.max() > 1:
        raise TriptychError(f"{label} holds the value {array.max()}; binarised images hold 0 and 1 only: binarise them")
    if not binary and array.max() == 0:
        raise TriptychError(f"{label} holds black pixels only: check how the images were made")
    if not binary and array.max() == 1:
        raise TriptychError(f"{label} holds nothing above 1, but 8-bit images go from 0 to 255: multiply them by 255")
    return array


def in_shape(array: np.ndarray, label: str, shape: Sequence[int]) -> np.ndarray:
    """Return images as (n, *shape), where `shape` is (h, w) or (3, h, w); the axis of colours may be the last.

    Grey images may also have an axis of length 1 for their channel. Raises TriptychError, which begins with `label`, if
    the array has another shape.
    """
    channels = (*shape[:-2],) or (1,)
    if array.shape[1:] == (*shape[-2:], *channels):
        array = np.moveaxis(array, -1, 1)
    if array.shape[1:] == (*channels, *shape[-2:]):
        array = array.reshape(len(array), *shape)
    if array.shape[1:] != (*shape,):
        expected = ", ".join(map(str, shape))
        raise TriptychError(f"{label} has the shape {array.shape}; give images of the shape (n, {expected})")
    return array


def _checked_labels(labels: np.ndarray, label: str, images: int, classes: int) -> np.ndarray:
    if labels.shape == (images, 1):  # some archives of CIFAR-10 hold labels as a column
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise TriptychError(f"{label} is {labels.dtype} of shape {labels.shape}; give a list of integers")
    if len(labels) != images:
        remedy = "give one label per image" if images else "add the images, or remove the labels"
        raise TriptychError(f"{label} has {len(labels)} labels for {images} images; {remedy}")
    if images and (labels.min() < 0 or labels.max() >= classes):
        words = f"goes from {labels.min()} to {labels.max()}, but labels must lie in 0 to {classes - 1}"
        raise TriptychError(f"{label} {words}: number the classes from 0, and keep at most {classes}")
    return labels


def write_raw(path: Path, image_set: ImageSet) -> None:
    """Write the raw file, an uncompressed `.npz`: equal images give equal bytes."""
    with path.open("wb") as file:
        np.savez(file, source=np.array(image_set.source), kind=np.array(image_set.kind), **image_set.arrays)


def read_raw(path: Path, images: str) -> ImageSet:
    """Return the content of a raw file. Raises TriptychError if it is missing, damaged or of other images."""
    arrays = read_npz(path)
    kind, source = _origin(arrays, path)
    if kind == "embedded" and images == "binarized_mnist":  # embedded digits are binarised by the prepare stage
        images = "mnist"
    return ImageSet(check_images(arrays, str(path), images), source, kind)


def read_origin(path: Path) -> tuple[str, str]:
    """Return `kind` and `source` of a raw file."""
    return _origin(read_npz(path, TEXTS), path)


def _origin(arrays: Mapping[str, np.ndarray], path: Path) -> tuple[str, str]:
    for name in TEXTS:
        if name not in arrays:
            raise TriptychError(f"{path} does not say where its images come from: delete it and fetch again")
    return str(arrays["kind"]), str(arrays["source"])


def without_checksum(source: str) -> str:
    """Return the description of a source without the checksum of the user's files.

    >>> without_checksum("the user's folder, mnist.npz (sha256 5dde5c27)")
    "the user's folder, mnist.npz"
    """
    return source.partition(" (sha256")[0]

"""The user's own images below `data/own/`: a `.npz` file, a `.npy` file, or a folder of PNG or JPEG files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.image_files import folder_shape, image_paths, read_image_folder, require_images, require_uint8
from triptych.data.image_shapes import SPLITS, Shape, image_shape, refuse_too_large
from triptych.data.npz_files import array_names, array_shapes, read_npy, read_npz

LEAST_IMAGES = {"train": 50, "valid": 5, "test": 5}  # a tenth of 50, or 5, are enough for all measures


@dataclass(frozen=True)
class OwnImages:
    """What the headers of own images say."""

    shape: Shape
    counts: Mapping[str, int]
    """The number of images by split."""
    labelled: bool


def read_own(path: Path) -> dict[str, np.ndarray]:
    """Return the arrays `x_<split>`, uint8, and `y_<split>` if labels are known. A folder or a `.npy` is `x_train`.

    Raises TriptychError if the path is missing or damaged, or holds other images than `describe_own` accepts.
    """
    shape = describe_own(path).shape
    if path.is_dir():
        return {"x_train": read_image_folder(path, shape)}
    return {"x_train": read_npy(path, require_uint8)} if path.suffix == ".npy" else read_npz(path)


def describe_own(path: Path) -> OwnImages:
    """Return shape and number of own images, from headers alone. Raises TriptychError as `read_own` does."""
    require_images(path)
    if path.is_dir():
        return _checked(str(path), {"train": len(image_paths(path))}, folder_shape(path), labelled=False)
    arrays = array_shapes(path)
    if "x_train" not in arrays:
        found = ", ".join(array_names(path)) or "no array"
        raise TriptychError(f"{path} has no array x_train: it has {found}; rename the array with the images")
    shape = image_shape(arrays["x_train"], f"{path}: x_train")
    for name, found in arrays.items():
        refuse_too_large(f"{path}: {name}", found)
    counts = {split: arrays[f"x_{split}"][0] for split in SPLITS if arrays.get(f"x_{split}")}
    return _checked(str(path), counts, shape, labelled="y_train" in arrays)


def _checked(label: str, counts: Mapping[str, int], shape: Shape, *, labelled: bool) -> OwnImages:
    for split, count in counts.items():
        if count < (least := LEAST_IMAGES[split]):
            kind = f"{split} images" if len(counts) > 1 else "images"
            raise TriptychError(f"{label} has {count} {kind}: use {least} or more")
    return OwnImages(shape, counts, labelled)

"""Images in memory, as arrays of NumPy or PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.image_shapes import refuse_too_large
from triptych.data.raw_images import checked_images, in_shape

LABEL = "the image array"  # in messages
WHITE = 255


def require_pixels(label: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise TriptychError, which begins with `label`, unless an array of this shape and type can hold images."""
    if dtype != np.uint8 and dtype.kind not in "bf":
        raise TriptychError(f"{label} holds {dtype}: use uint8 from 0 to 255, floats from 0 to 1, or bool")
    refuse_too_large(label, shape)


def to_levels(images: Any, label: str) -> np.ndarray:  # noqa: ANN401 (NumPy or PyTorch)
    """Return images of any shape as uint8 from 0 to 255: uint8 unchanged, bool as 0 and 255, floats in [0, 1] rounded.

    Raises TriptychError, which begins with `label`, for other types or values.

    >>> to_levels(np.array([0.0, 0.5, 1.0]), "images").tolist()
    [0, 128, 255]
    """
    try:
        array = np.asarray(_float32(images.detach().cpu()) if hasattr(images, "detach") else images)
    except (TypeError, ValueError):
        raise TriptychError(f"{label} is no array: give images of equal shape, as NumPy or PyTorch arrays") from None
    require_pixels(label, array.shape, array.dtype)
    if array.dtype == bool:
        return array.astype(np.uint8) * WHITE
    if array.dtype.kind == "f":
        low, high = (float(array.min()), float(array.max())) if array.size else (0.0, 1.0)
        if not (low >= 0.0 and high <= 1.0):  # also if one is NaN
            values = f"{array.dtype} from {low:g} to {high:g}"
            raise TriptychError(f"{label} holds {values}, but floats go from 0 to 1: divide by 255, or use uint8")
        return (array * WHITE).round().astype(np.uint8)
    return array


def _float32(tensor: Any) -> Any:  # noqa: ANN401 (a tensor of PyTorch)
    """Return a tensor of short floats in float32, since NumPy lacks some of PyTorch's types; others unchanged."""
    return tensor.float() if tensor.is_floating_point() and tensor.itemsize < 4 else tensor


def model_pixels(images: Any, label: str, shape: Sequence[int], *, binary: bool) -> np.ndarray:  # noqa: ANN401
    """Return images as the pixels that a model uses, uint8 (n, *shape): levels from 0 to 255, or 0 and 1 if `binary`.

    The axis of colours may be the last. For `binary`, images hold black and white only: 0 and 1, or 0 and 255. For
    others, uint8 arrays with a maximum of 1 are refused. Raises TriptychError, which begins with `label`, for other
    images.
    """
    levels = in_shape(to_levels(images, label), label, shape)
    if binary:
        if not any(np.isin(levels, (0, white)).all() for white in (1, WHITE)):
            words = "but the model is for black and white pixels: binarise them, for example with images > 127"
            raise TriptychError(f"{label} holds shades of grey, {words}")
        levels = levels.clip(0, 1)
    black = not levels.any()  # the same in either scale
    return np.ascontiguousarray(checked_images(levels, label, shape, binary=binary or black))

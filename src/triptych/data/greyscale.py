"""Colour images as grey ones."""

from __future__ import annotations

import numpy as np

WEIGHTS = (19_595, 38_470, 7_471)  # of red, green and blue in units of 2^-16: the luma of ITU-R BT.601, as in Pillow


def to_grey(images: np.ndarray) -> np.ndarray:
    """Return uint8 images (n, h, w) with the luma of colour images (n, 3, h, w); grey images are returned as they are.

    >>> to_grey(np.array([[[[255]], [[0]], [[0]]]], np.uint8)).tolist()
    [[[76]]]
    """
    if images.ndim == 3:
        return images
    total = sum(images[:, index].astype(np.uint32) * weight for index, weight in enumerate(WEIGHTS))
    return ((total + (1 << 15)) >> 16).astype(np.uint8)

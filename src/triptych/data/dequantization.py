"""Dequantisation of 8-bit pixels.

The caller draws the noise, so that the same function serves NumPy arrays (stage `prepare`) and PyTorch tensors
(training). The log determinant of dequantisation is in `triptych.models.flow.dequantization`.
"""

from __future__ import annotations

from typing import Any

LEVELS = 256  # of an 8-bit pixel
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1; in float32, 255 + U rounds up to 256 about once in 10^5 draws


def dequantize(pixels: Any, noise: Any) -> Any:  # noqa: ANN401 (NumPy or PyTorch, both of one shape)
    """Return (x + u) / 256 in [0, 1) for 8-bit levels x and noise u in [0, 1) (Theis et al. 2016, section 3.1).

    >>> import numpy as np
    >>> dequantize(np.array([0.0, 128.0]), np.array([0.5, 0.0])).tolist()
    [0.001953125, 0.5]
    """
    return ((pixels + noise) / LEVELS).clip(0, BELOW_ONE)


def quantize(values: Any) -> Any:  # noqa: ANN401 (NumPy or PyTorch)
    """Return the 8-bit level, 0 to 255, of each value; values outside [0, 1) get the nearest level."""
    return (values * LEVELS).clip(0, LEVELS - 1) // 1

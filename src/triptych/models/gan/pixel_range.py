"""Between 8-bit images and the range of tanh."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def to_signed(pixels: Tensor) -> Tensor:
    """8-bit pixels to [-1, 1]."""
    return pixels.float() / 127.5 - 1


def to_unit(images: Tensor) -> Tensor:
    """[-1, 1] to [0, 1]."""
    return (images + 1) / 2

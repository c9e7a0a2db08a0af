"""Convert images between 8-bit pixels, the range [-1, 1] of the generator's tanh, and intensities in [0, 1]."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def to_signed(pixels: Tensor) -> Tensor:
    """Return 8-bit pixels of any shape, scaled to [-1, 1].

    >>> import torch
    >>> to_signed(torch.tensor([0, 255], dtype=torch.uint8))
    tensor([-1.,  1.])
    """
    return pixels.float() / 127.5 - 1


def to_unit(images: Tensor) -> Tensor:
    """Return values in [-1, 1], scaled to [0, 1].

    >>> import torch
    >>> to_unit(torch.tensor([-1.0, 1.0]))
    tensor([0., 1.])
    """
    return (images + 1) / 2

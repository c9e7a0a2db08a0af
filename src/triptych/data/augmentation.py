"""Small changes to training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch.nn.functional import pad

if TYPE_CHECKING:
    from torch import Tensor


def shift_images(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """Images (n, h, w) moved down and right by whole pixels, black where nothing came in."""
    height, width = pixels.shape[1:]
    margin = max(abs(rows), abs(columns))
    padded = pad(pixels, (margin, margin, margin, margin))
    return padded[:, margin - rows : margin - rows + height, margin - columns : margin - columns + width]

"""Random shifts and reflections of training images."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def shift_images(pixels: Tensor, rows: int, columns: int) -> Tensor:
    """Return images (n, ..., h, w) moved down and right by whole pixels, with black at the uncovered edges."""
    height, width = pixels.shape[-2:]
    margin = max(abs(rows), abs(columns))
    padded = pad(pixels, (margin, margin, margin, margin))
    return padded[..., margin - rows : margin - rows + height, margin - columns : margin - columns + width]


def shift_and_mirror(pixels: Tensor, max_shift: int) -> Tensor:
    """Return images (n, ..., h, w), each shifted by up to `max_shift` pixels and mirrored with probability 1/2.

    The uncovered edges show the image reflected. Draws from the global random generator of PyTorch.
    """
    count, height, width = len(pixels), *pixels.shape[-2:]
    shifts = torch.randint(-max_shift, max_shift + 1, (2, count, 1))
    rows = _reflected(torch.arange(height) - shifts[0], height)[:, :, None]
    columns = _reflected(torch.arange(width) - shifts[1], width)[:, None]
    columns = torch.where(torch.rand(count, 1, 1) < 0.5, columns, columns.flip(2))
    images = torch.arange(count)[:, None, None]
    indices = tuple(index.to(pixels.device) for index in (images, rows, columns))
    channels = pixels.reshape(count, -1, height, width).movedim(1, -1)
    return channels[indices].movedim(-1, 1).reshape(pixels.shape)


def _reflected(index: Tensor, size: int) -> Tensor:
    """Return indices within 0 to size - 1: an index outside is reflected at the nearer end."""
    return size - 1 - (size - 1 - index.abs()).abs()

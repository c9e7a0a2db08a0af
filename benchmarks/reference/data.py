"""Images one by one, as a course's template loads them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

WORKERS = 2
DRAWN = 10_000_000  # images in all, so that no pass ends, and starts workers, while the clock runs

Transform = Callable[[Tensor], Tensor]


class Images(Dataset):
    """Images uint8 (n, ...), each with a transform when it is asked for."""

    def __init__(self, pixels: Tensor, transform: Transform) -> None:
        self.pixels, self.transform = pixels, transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(self.pixels[index])


def binary(image: Tensor) -> Tensor:
    """0 and 1, flat."""
    return image.float().flatten()


def dequantized(image: Tensor) -> Tensor:
    """(x + u) / 256, flat."""
    return ((image.float() + torch.rand(image.shape)) / 256).flatten()


def signed(image: Tensor) -> Tensor:
    """[-1, 1], as ToTensor and Normalize([0.5], [0.5]) give it."""
    return (image.float() / 255 - 0.5) / 0.5


def batches(pixels: Tensor, transform: Transform, batch_size: int) -> Iterator[Tensor]:
    """Shuffled batches without end. A sampler shuffles for `shuffle=True`, pass after pass."""
    data = Images(pixels, transform)
    sampler = RandomSampler(data, num_samples=DRAWN)
    return iter(DataLoader(data, batch_size=batch_size, sampler=sampler, num_workers=WORKERS, drop_last=True))

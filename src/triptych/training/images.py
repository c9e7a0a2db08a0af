"""Training and held-out images as tensors, and the batches of an epoch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from triptych.core.errors import TriptychError
from triptych.data.augmentation import shift_images
from triptych.data.binarization import stochastic_binarize
from triptych.data.prepared import PreparedData
from triptych.training.reproducible import generator


@dataclass(frozen=True)
class TrainingImages:
    """All training images, uint8 (n, ...), in the memory of the device or of the host."""

    pixels: Tensor
    device: torch.device
    redraws: bool
    """Whether the images are binarised anew each time they are used."""
    max_shift: int = 0
    """The largest shift of a batch in pixels, both vertical and horizontal."""

    @classmethod
    def load(cls, data: PreparedData, device: torch.device, max_shift: int = 0, *, on_device: bool) -> TrainingImages:
        """Load the training images of a prepared data set."""
        pixels = torch.from_numpy(data.images("train"))
        return cls(pixels.to(device) if on_device else pixels, device, data.redraws, max_shift)

    def batches(self, size: int, count: int, order: torch.Generator) -> Iterator[Tensor]:
        """Yield `count` full batches uint8 (size, ...) on the device, in a new order for each pass over the images.

        The images at the end of a pass that fill no batch are left out of it. Stochastic binarisation and the shift of
        a batch draw from torch's global generator.
        """
        batches_per_pass = len(self.pixels) // size
        for step in range(count):
            if step % batches_per_pass == 0:
                permutation = torch.randperm(len(self.pixels), generator=order).to(self.pixels.device)
            start = step % batches_per_pass * size
            batch = self.pixels.index_select(0, permutation[start : start + size]).to(self.device)
            if self.max_shift:
                rows, columns = torch.randint(-self.max_shift, self.max_shift + 1, (2,)).tolist()
                batch = shift_images(batch, rows, columns)
            if self.redraws:
                noise = torch.rand(batch.shape, device=batch.device)
                batch = stochastic_binarize(batch, noise).to(torch.uint8)
            yield batch


def require_batch(key: str, images_per_update: int, data: PreparedData) -> None:
    """Raise TriptychError, which names the setting `key`, if an update needs more images than the training has."""
    if images_per_update > (known := data.size("train")):
        needs = f"{key} needs {images_per_update:,} images per update"
        raise TriptychError(f"{needs}, more than the {known:,} training images of {data.name}: lower it")


@dataclass(frozen=True)
class HeldOutImages:
    """The images of one split, or its first `limit` images, with the same pixels at every evaluation."""

    data: PreparedData
    split: str
    device: torch.device
    limit: int | None = None

    @cached_property
    def pixels(self) -> Tensor:
        """Images uint8 (n, ...). Training images that are binarised at every use are binarised once here."""
        pixels = torch.from_numpy(self.data.images(self.split)[: self.limit])
        if self.data.redraws and self.split == "train":
            noise = torch.rand(pixels.shape, generator=generator(0, self.data.checksum))
            pixels = stochastic_binarize(pixels, noise).to(torch.uint8)
        return pixels.to(self.device)

    @property
    def eight_bit(self) -> Tensor:
        """Images uint8 (n, ...) from 0 to 255; binary pixels are 0 or 255."""
        return self.pixels * 255 if self.data.binary else self.pixels

    @cached_property
    def continuous(self) -> Tensor:
        """The dequantised images float32 (n, ...) in [0, 1). Training images have no dequantised copy."""
        return torch.from_numpy(self.data.continuous(self.split)[: self.limit]).to(self.device)

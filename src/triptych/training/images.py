"""Images as tensors: bytes until the moment they are used."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.data.augmentation import shift_images
from triptych.data.binarization import stochastic_binarize
from triptych.training.reproducible import generator

if TYPE_CHECKING:
    from triptych.data.prepared import PreparedData


@dataclass(frozen=True)
class TrainingImages:
    """All training images, uint8 (n, ...), in the device's memory or in the host's."""

    pixels: Tensor
    device: torch.device
    redraws: bool
    max_shift: int = 0
    """Pixels: each batch is moved by as many at most, down or up and right or left."""

    @classmethod
    def load(cls, data: PreparedData, device: torch.device, max_shift: int = 0, *, on_device: bool) -> TrainingImages:
        pixels = torch.from_numpy(data.images("train"))
        return cls(pixels.to(device) if on_device else pixels, device, data.redraws, max_shift)

    def batches(self, size: int, count: int, order: torch.Generator) -> Iterator[Tensor]:
        """So many full batches uint8 (size, ...) on the device, in a fresh order each time the images are used up.

        What is left of a pass and fills no batch waits for another pass. Where the data set is binarised
        stochastically, every visit draws anew from torch's global generator; so does the shift of a batch.
        """
        a_pass = len(self.pixels) // size
        for step in range(count):
            if step % a_pass == 0:
                permutation = torch.randperm(len(self.pixels), generator=order).to(self.pixels.device)
            start = step % a_pass * size
            batch = self.pixels.index_select(0, permutation[start : start + size]).to(self.device)
            if self.max_shift:
                rows, columns = torch.randint(-self.max_shift, self.max_shift + 1, (2,)).tolist()
                batch = shift_images(batch, rows, columns)
            if self.redraws:
                noise = torch.rand(batch.shape, device=batch.device)
                batch = stochastic_binarize(batch, noise).to(torch.uint8)
            yield batch


@dataclass(frozen=True)
class HeldOutImages:
    """One split to judge on, always the same numbers; of a large one the first `limit` images."""

    data: PreparedData
    split: str
    device: torch.device
    limit: int | None = None

    @cached_property
    def pixels(self) -> Tensor:
        """uint8 (n, ...). Where training binarises at every visit, training images are drawn once here."""
        pixels = torch.from_numpy(self.data.images(self.split)[: self.limit])
        if self.data.redraws and self.split == "train":
            noise = torch.rand(pixels.shape, generator=generator(0, self.data.checksum))
            pixels = stochastic_binarize(pixels, noise).to(torch.uint8)
        return pixels.to(self.device)

    @cached_property
    def continuous(self) -> Tensor:
        """float32 (n, ...) in [0, 1), the dequantised copy; of training images none is kept."""
        return torch.from_numpy(self.data.continuous(self.split)).to(self.device)

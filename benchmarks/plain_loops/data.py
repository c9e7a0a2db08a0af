"""Images one by one through Pillow and ToTensor, as torchvision's MNIST and the documents' template load them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from torchvision.transforms import Compose, Lambda, Normalize, ToTensor

WORKERS = 2
DRAWN = 10_000_000  # images in total, so that no pass ends and restarts the workers during the timing

Transform = Callable[[Image.Image], Tensor]


class Images(Dataset):
    """Images uint8 (n, h, w) or (n, 3, h, w); each is converted to a Pillow image and transformed on access."""

    def __init__(self, pixels: Tensor, transform: Transform) -> None:
        colour = pixels.dim() == 4
        self.pixels, self.transform = (pixels.permute(0, 2, 3, 1) if colour else pixels).contiguous(), transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Tensor:
        return self.transform(Image.fromarray(self.pixels[index].numpy()))


binary = Compose([ToTensor(), Lambda(lambda x: (x > 0).float().flatten())])
dequantized = Compose([ToTensor(), Lambda(lambda x: ((x * 255 + torch.rand_like(x)) / 256).flatten())])
signed = Compose([ToTensor(), Normalize([0.5], [0.5])])


def batches(pixels: Tensor, transform: Transform, batch_size: int) -> Iterator[Tensor]:
    """Yield shuffled batches without end."""
    data = Images(pixels, transform)
    sampler = RandomSampler(data, num_samples=DRAWN)
    return iter(DataLoader(data, batch_size=batch_size, sampler=sampler, num_workers=WORKERS, drop_last=True))

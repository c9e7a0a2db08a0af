"""Generator and discriminator as multilayer perceptrons."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn

from triptych.models.linear import Linear


class Generator(nn.Module):
    """Latents to images in (-1, 1): linear layers, batch normalisation after all but the first, LeakyReLU, tanh."""

    def __init__(self, latent: int, hidden: list[int], image_shape: tuple[int, ...], leak: float) -> None:
        super().__init__()
        self.image_shape = image_shape
        layers: list[nn.Module] = [Linear(latent, hidden[0]), nn.LeakyReLU(leak)]
        for inputs, outputs in pairwise(hidden):
            layers += [Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(leak)]
        self.layers = nn.Sequential(*layers, Linear(hidden[-1], math.prod(image_shape)), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """Images (n, *image_shape) from latents (n, latent)."""
        return self.layers(latents).view(-1, *self.image_shape)


class Discriminator(nn.Module):
    """Images to one logit, positive for real: linear layers, LeakyReLU, dropout."""

    def __init__(self, image_shape: tuple[int, ...], hidden: list[int], leak: float, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([math.prod(image_shape), *hidden]):
            layers += [Linear(inputs, outputs), nn.LeakyReLU(leak), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, Linear(hidden[-1], 1))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n,) from images (n, ...)."""
        return self.layers(images.flatten(1)).squeeze(1)

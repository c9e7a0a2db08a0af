"""Generator and discriminator as multilayer perceptrons."""

import math
from itertools import pairwise

from torch import Tensor, nn

from triptych.models.common.linear import Linear


class Generator(nn.Module):
    """Linear layers with LeakyReLU, batch normalisation after all hidden layers but the first, and a final tanh."""

    def __init__(self, latent: int, hidden: list[int], image_shape: tuple[int, ...], leak: float) -> None:
        super().__init__()
        self.image_shape = image_shape
        layers: list[nn.Module] = [Linear(latent, hidden[0]), nn.LeakyReLU(leak)]
        for inputs, outputs in pairwise(hidden):
            layers += [Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(leak)]
        self.layers = nn.Sequential(*layers, Linear(hidden[-1], math.prod(image_shape)), nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        """Return images (n, *image_shape) in (-1, 1) from latents (n, latent)."""
        return self.layers(latents).view(-1, *self.image_shape)


class Discriminator(nn.Module):
    """Linear layers with LeakyReLU and dropout."""

    def __init__(self, image_shape: tuple[int, ...], hidden: list[int], leak: float, dropout: float) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([math.prod(image_shape), *hidden]):
            layers += [Linear(inputs, outputs), nn.LeakyReLU(leak), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, Linear(hidden[-1], 1))

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (n,), positive for real, from images (n, ...)."""
        return self.layers(images.flatten(1)).squeeze(1)

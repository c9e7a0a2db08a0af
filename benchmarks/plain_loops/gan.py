"""The GAN of the first document, by the template that its courses hand out.

The generator moves first, and the discriminator sees the very fakes that it moved on. Ours lets the discriminator move
first and draws fakes for each of the two: one forward pass of the generator more an update. The losses are the same.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from plain_loops.data import batches, signed

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment

PIXELS = 784


def generator(latent: int, hidden: list[int], leak: float) -> nn.Sequential:
    """Latents (n, latent) to images (n, 784)."""
    layers: list[nn.Module] = [nn.Linear(latent, hidden[0]), nn.LeakyReLU(leak)]
    for inputs, outputs in pairwise(hidden):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(leak)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], PIXELS), nn.Tanh())


def discriminator(hidden: list[int], leak: float, dropout: float) -> nn.Sequential:
    """Images (n, 784) to the probability (n, 1) of being real."""
    sizes, layers = [PIXELS, *hidden], []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(leak), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1), nn.Sigmoid())


class Loop:
    """Steps of the template's loop."""

    def __init__(self, experiment: Experiment, pixels: Tensor, profile: str, device: str = "cpu") -> None:
        model, self.device = experiment.model_at(profile), device
        self.latent, self.images_a_step = model.latent, experiment.batch_size
        self.generator = generator(model.latent, model.generator, model.leak).to(device)
        self.discriminator = discriminator(model.discriminator, model.leak, model.dropout).to(device)
        rate, betas = experiment.learning_rate, tuple(experiment.betas)
        self.of_generator = torch.optim.Adam(self.generator.parameters(), lr=rate, betas=betas)
        self.of_discriminator = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=betas)
        self.loss = nn.BCELoss()
        self.batches = batches(pixels, signed, experiment.batch_size)

    def run(self, steps: int) -> float:
        """So many updates of each player; the mean loss of the generator."""
        total = 0.0
        for _ in range(steps):
            real = next(self.batches).flatten(1).to(self.device)
            valid, fake = real.new_ones(len(real), 1), real.new_zeros(len(real), 1)

            self.of_generator.zero_grad()
            images = self.generator(torch.randn(len(real), self.latent, device=self.device))
            forged = self.loss(self.discriminator(images), valid)
            forged.backward()
            self.of_generator.step()

            self.of_discriminator.zero_grad()
            told = self.loss(self.discriminator(real), valid) + self.loss(self.discriminator(images.detach()), fake)
            told.backward()
            self.of_discriminator.step()
            total += forged.item()
        return total / steps

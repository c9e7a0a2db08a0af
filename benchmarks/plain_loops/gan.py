"""The GAN of the first document, as in its template.

The generator is updated first, and the discriminator uses the same samples. Triptych updates the discriminator first
and draws samples for both, which costs one more forward pass of the generator per update. The losses are the same.
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
    """Return the network from latents (n, latent) to images (n, 784)."""
    layers: list[nn.Module] = [nn.Linear(latent, hidden[0]), nn.LeakyReLU(leak)]
    for inputs, outputs in pairwise(hidden):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.LeakyReLU(leak)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], PIXELS), nn.Tanh())


def discriminator(hidden: list[int], leak: float, dropout: float) -> nn.Sequential:
    """Return the network from images (n, 784) to the probability (n, 1) that they are real."""
    sizes, layers = [PIXELS, *hidden], []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), nn.LeakyReLU(leak), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(hidden[-1], 1), nn.Sigmoid())


class Loop:
    """The training loop of the template."""

    def __init__(self, experiment: Experiment, pixels: Tensor, profile: str, device: str = "cpu") -> None:
        model, self.device = experiment.model_at(profile), device
        self.latent, self.images_per_step = model.latent, experiment.batch_size
        self.generator = generator(model.latent, model.generator, model.leak).to(device)
        self.discriminator = discriminator(model.discriminator, model.leak, model.dropout).to(device)
        rate, betas = experiment.learning_rate, tuple(experiment.betas)
        self.generator_optimizer = torch.optim.Adam(self.generator.parameters(), lr=rate, betas=betas)
        self.discriminator_optimizer = torch.optim.Adam(self.discriminator.parameters(), lr=rate, betas=betas)
        self.loss = nn.BCELoss()
        self.batches = batches(pixels, signed, experiment.batch_size)

    def run(self, steps: int) -> float:
        """Run updates of both networks; return the mean loss of the generator."""
        total = 0.0
        for _ in range(steps):
            real = next(self.batches).flatten(1).to(self.device)
            valid, fake = real.new_ones(len(real), 1), real.new_zeros(len(real), 1)

            self.generator_optimizer.zero_grad()
            images = self.generator(torch.randn(len(real), self.latent, device=self.device))
            generator_loss = self.loss(self.discriminator(images), valid)
            generator_loss.backward()
            self.generator_optimizer.step()

            self.discriminator_optimizer.zero_grad()
            real_loss = self.loss(self.discriminator(real), valid)
            fake_loss = self.loss(self.discriminator(images.detach()), fake)
            (real_loss + fake_loss).backward()
            self.discriminator_optimizer.step()
            total += generator_loss.item()
        return total / steps

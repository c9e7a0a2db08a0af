"""The VAE of the first document: 784-500-20, tanh, a sigmoid and binary cross entropy."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy

from plain_loops.data import binary
from plain_loops.template import TemplateLoop

if TYPE_CHECKING:
    from triptych.settings.experiment import Experiment

PIXELS = 784
ACTIVATIONS = {"tanh": nn.Tanh, "elu": nn.ELU}


def perceptron(sizes: list[int], activation: type[nn.Module]) -> list[nn.Module]:
    """Return linear layers, each followed by the activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), activation()]
    return layers


class Encoder(nn.Module):
    """The network from images (n, 784) to mean and log variance (n, d)."""

    def __init__(self, hidden: list[int], latent: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.hidden = nn.Sequential(*perceptron([PIXELS, *hidden], activation))
        self.mean, self.log_variance = nn.Linear(hidden[-1], latent), nn.Linear(hidden[-1], latent)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        hidden = self.hidden(images)
        return self.mean(hidden), self.log_variance(hidden)


class Vae(nn.Module):
    """A VAE; its forward pass returns the mean negative ELBO of a batch."""

    def __init__(self, hidden: list[int], latent: int, activation: type[nn.Module]) -> None:
        super().__init__()
        self.encoder = Encoder(hidden, latent, activation)
        back = list(reversed(hidden))
        self.decoder = nn.Sequential(
            *perceptron([latent, *back], activation), nn.Linear(back[-1], PIXELS), nn.Sigmoid()
        )

    def forward(self, images: Tensor) -> Tensor:
        mean, log_variance = self.encoder(images)
        std = torch.exp(0.5 * log_variance)
        means = self.decoder(mean + std * torch.randn_like(std))
        reconstruction = binary_cross_entropy(means, images, reduction="sum")
        kl = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
        return (reconstruction + kl) / len(images)


class Loop(TemplateLoop):
    """The template's loop for the VAE of an experiment."""

    def __init__(self, experiment: Experiment, pixels: Tensor, profile: str, device: str = "cpu") -> None:
        model = experiment.model_at(profile)
        vae = Vae(model.hidden, model.latent, ACTIVATIONS[model.activation])
        super().__init__(vae, experiment, pixels, binary, device)

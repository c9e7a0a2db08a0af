"""Gaussian encoder and Bernoulli decoder, both multilayer perceptrons (Kingma and Welling 2014, appendix C)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


def perceptron(sizes: list[int], activation: str) -> nn.Sequential:
    """Linear layers from `sizes[0]` to `sizes[-1]`, each followed by the activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [nn.Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


class Vae(nn.Module):
    """q(z|x) = N(mu(x), diag(sigma(x)^2)) and p(x|z) a product of Bernoulli variables, one a pixel.

    `hidden` lists the widths of the encoder's hidden layers; the decoder mirrors them. `decoder_shift` is added to the
    decoder's logits: a negative one starts the model from mostly black images.
    """

    def __init__(
        self, image_shape: tuple[int, ...], latent: int, hidden: list[int], activation: str, shift: float
    ) -> None:
        super().__init__()
        self.image_shape, self.shift = image_shape, shift
        pixels = math.prod(image_shape)
        self.encoder = perceptron([pixels, *hidden], activation)
        self.posterior = nn.Linear(hidden[-1] if hidden else pixels, 2 * latent)
        self.decoder = perceptron([latent, *reversed(hidden)], activation)
        self.likelihood = nn.Linear(hidden[0] if hidden else latent, pixels)

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance of q(z|x), each (n, latent), from float images (n, ...)."""
        mean, log_variance = self.posterior(self.encoder(images.flatten(1))).chunk(2, dim=1)
        return mean, log_variance

    def logits(self, latents: Tensor) -> Tensor:
        """Logits of the pixels' means (n, *image_shape) from latents (n, latent)."""
        return (self.likelihood(self.decoder(latents)) + self.shift).view(-1, *self.image_shape)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, mean and log variance, with one reparameterised draw z = mu + sigma * epsilon."""
        mean, log_variance = self.encode(images)
        latents = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return self.logits(latents), mean, log_variance

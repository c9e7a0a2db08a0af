"""Encoder and decoder with multilayer perceptrons (Kingma and Welling 2014, appendix C)."""

from __future__ import annotations

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from triptych.models.linear import Linear, linear
from triptych.models.vae.posterior import Posterior

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


def perceptron(sizes: list[int], activation: str) -> nn.Sequential:
    """Linear layers from `sizes[0]` to `sizes[-1]`, each followed by the activation."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(sizes):
        layers += [Linear(inputs, outputs), ACTIVATIONS[activation]()]
    return nn.Sequential(*layers)


class Vae(nn.Module):
    """q(z|x), and p(x|z) a product of Bernoulli variables, one a pixel.

    `hidden` lists the widths of the encoder's hidden layers; the decoder mirrors them. `decoder_shift` is added to the
    decoder's logits: a negative one starts the model from mostly black images. `planar_layers` follow the encoder's
    Gaussian; the encoder gives their parameters, too.
    """

    def __init__(
        self,
        image_shape: tuple[int, ...],
        *,
        latent: int,
        hidden: list[int],
        activation: str,
        decoder_shift: float,
        planar_layers: int,
    ) -> None:
        super().__init__()
        self.image_shape, self.shift, self.planar_layers = image_shape, decoder_shift, planar_layers
        pixels = math.prod(image_shape)
        features = hidden[-1] if hidden else pixels
        self.encoder = perceptron([pixels, *hidden], activation)
        self.posterior = Linear(features, 2 * latent)
        self.decoder = perceptron([latent, *reversed(hidden)], activation)
        self.likelihood = Linear(hidden[0] if hidden else latent, pixels)
        if planar_layers:
            self.flow = Linear(features, planar_layers * (2 * latent + 1))
            with torch.no_grad():  # u = 0: the layers start as the identity
                for parameter in (self.flow.weight, self.flow.bias):
                    parameter.unflatten(0, (planar_layers, -1))[:, :latent] = 0

    def encode(self, images: Tensor) -> Posterior:
        """q(z|x) from float images (n, ...)."""
        features = self.encoder(images.flatten(1))
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        layers = None
        if self.planar_layers:  # scaled: w'z and the length of u are of order 1 in any dimension
            layers = self.flow(features).unflatten(1, (self.planar_layers, -1)) / mean.shape[1] ** 0.5
        return Posterior(mean, log_variance, layers)

    def logits(self, latents: Tensor) -> Tensor:
        """Logits of the pixels' means (..., *image_shape) from latents (..., d)."""
        logits = linear(self.decoder(latents), self.likelihood.weight, self.likelihood.bias + self.shift)
        return logits.unflatten(-1, self.image_shape)

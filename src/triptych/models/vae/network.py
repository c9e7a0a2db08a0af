"""Encoder and decoder as multilayer perceptrons (Kingma and Welling 2014, appendix C)."""

import math

import torch
from torch import Tensor, nn

from triptych.models.common.linear import Linear, linear, perceptron
from triptych.models.vae.posterior import Posterior
from triptych.models.vae.settings import Model

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU, "elu": nn.ELU}


class Vae(nn.Module):
    """An encoder for q(z|x), and a decoder for p(x|z), a product of Bernoulli distributions with one per pixel.

    With `planar_layers`, the encoder also returns the parameters of the layers that transform its Gaussian.
    """

    def __init__(self, model: Model, image_shape: tuple[int, ...]) -> None:
        super().__init__()
        latent, hidden, planar_layers = model.latent, model.hidden, model.planar_layers
        self.image_shape, self.shift, self.planar_layers = image_shape, model.decoder_shift, planar_layers
        pixels = math.prod(image_shape)
        features = hidden[-1] if hidden else pixels
        self.encoder = perceptron([pixels, *hidden], ACTIVATIONS[model.activation])
        self.posterior = Linear(features, 2 * latent)
        self.decoder = perceptron([latent, *reversed(hidden)], ACTIVATIONS[model.activation])
        self.likelihood = Linear(hidden[0] if hidden else latent, pixels)
        if planar_layers:
            self.flow = Linear(features, planar_layers * (2 * latent + 1))
            with torch.no_grad():  # with u = 0 the layers start as the identity
                for parameter in (self.flow.weight, self.flow.bias):
                    parameter.unflatten(0, (planar_layers, -1))[:, :latent] = 0

    def encode(self, images: Tensor) -> Posterior:
        """Return q(z|x) for float images (n, ...)."""
        features = self.encoder(images.flatten(1))
        mean, log_variance = self.posterior(features).chunk(2, dim=1)
        layers = None
        if self.planar_layers:  # the factor keeps w'z and the length of u of order 1 in any dimension
            layers = self.flow(features).unflatten(1, (self.planar_layers, -1)) / mean.shape[1] ** 0.5
        return Posterior(mean, log_variance, layers)

    def logits(self, latents: Tensor) -> Tensor:
        """Return the logits of the pixels' means, (..., *image_shape), from latents (..., d)."""
        logits = linear(self.decoder(latents), self.likelihood.weight, self.likelihood.bias + self.shift)
        return logits.unflatten(-1, self.image_shape)

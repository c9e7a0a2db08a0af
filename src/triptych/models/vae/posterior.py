"""The approximate posterior q(z|x) that the encoder returns."""

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from triptych.objectives.likelihoods import LOG_2_PI
from triptych.objectives.planar import invertible, planar_flow


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of n images: a diagonal Gaussian, transformed by planar layers.

    `mean` and `log_variance` have shape (n, d). `layers` has shape (n, k, 2 d + 1) and holds the parameters u, w and b
    of k layers per image (amortised flow, Rezende and Mohamed 2015, section 4.2). If it is None, q is the Gaussian.
    """

    mean: Tensor
    log_variance: Tensor
    layers: Tensor | None

    def __getitem__(self, images: slice) -> Self:
        """Return the posterior of some of the images."""
        layers = None if self.layers is None else self.layers[images]
        return Posterior(self.mean[images], self.log_variance[images], layers)

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """Return reparameterised draws z (n, samples, d), and log q(z|x) (n, samples) in nats."""
        start, log_q = self.draw_gaussian(samples)
        z, log_det = self.transform(start)
        return z, log_q - log_det

    def draw_gaussian(self, samples: int) -> tuple[Tensor, Tensor]:
        """Return draws from the Gaussian (n, samples, d), and their log density (n, samples) in nats."""
        mean, log_variance = self.mean.float().unsqueeze(1), self.log_variance.float().unsqueeze(1)
        noise = torch.randn(len(mean), samples, mean.shape[2], device=mean.device)
        return mean + (log_variance / 2).exp() * noise, -(noise.square() + log_variance + LOG_2_PI).sum(-1) / 2

    def transform(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Return z (n, samples, d) after the planar layers, and the log determinant (n, samples) in nats."""
        if self.layers is None:
            return z, z.new_zeros(z.shape[:-1])
        latent = z.shape[-1]
        u, w, b = self.layers.float().transpose(0, 1).unsqueeze(2).split([latent, latent, 1], dim=-1)
        return planar_flow(z, invertible(u, w), w, b)

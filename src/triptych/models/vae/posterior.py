"""What the encoder says of the latents of an image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from triptych.objectives.likelihoods import LOG_2_PI
from triptych.objectives.planar import invertible, planar_flow


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of n images: a diagonal Gaussian of mean and log variance (n, d), sent through planar layers.

    `layers` holds u, w and b of all k layers, (n, k, 2 d + 1): one set an image, as amortised flows have
    (Rezende and Mohamed 2015, section 4.2). Without layers q is the Gaussian.
    """

    mean: Tensor
    log_variance: Tensor
    layers: Tensor | None

    def __getitem__(self, images: slice) -> Posterior:
        """The posterior of some of the images."""
        return Posterior(
            self.mean[images], self.log_variance[images], None if self.layers is None else self.layers[images]
        )

    def draw(self, samples: int) -> tuple[Tensor, Tensor]:
        """z (n, samples, d), reparameterised, and log q(z|x) (n, samples) in nats."""
        start, log_q = self.draw_gaussian(samples)
        z, log_det = self.transform(start)
        return z, log_q - log_det

    def draw_gaussian(self, samples: int) -> tuple[Tensor, Tensor]:
        """Draws of the Gaussian (n, samples, d), and its log density there (n, samples) in nats."""
        mean, log_variance = self.mean.float().unsqueeze(1), self.log_variance.float().unsqueeze(1)
        noise = torch.randn(len(mean), samples, mean.shape[2], device=mean.device)
        return mean + (log_variance / 2).exp() * noise, -(noise.square() + log_variance + LOG_2_PI).sum(-1) / 2

    def transform(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Where the layers send z (n, samples, d), and the log determinant (n, samples) in nats."""
        if self.layers is None:
            return z, z.new_zeros(z.shape[:-1])
        latent = z.shape[-1]
        u, w, b = self.layers.float().transpose(0, 1).unsqueeze(2).split([latent, latent, 1], dim=-1)
        return planar_flow(z, invertible(u, w), w, b)

"""Importance-sampled likelihoods image by image, as in the notebook of the second document."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from plain_loops.vae import Vae


@torch.no_grad()
def log_likelihoods(model: Vae, images: Tensor, samples: int) -> Tensor:
    """Return log p(x) (n,) of images (n, 784): encode each image, draw, decode, and sum the weights."""
    found = []
    for image in images:
        mean, log_variance = model.encoder(image.unsqueeze(0))
        std = torch.exp(0.5 * log_variance)
        noise = torch.randn(samples, mean.shape[1])
        z = mean + std * noise
        means = model.decoder(z)
        log_px = -binary_cross_entropy(means, image.expand(samples, -1), reduction="none").sum(1)
        log_pz = -0.5 * (z.pow(2) + math.log(2 * math.pi)).sum(1)
        log_qz = -0.5 * (noise.pow(2) + log_variance + math.log(2 * math.pi)).sum(1)
        found.append(torch.logsumexp(log_px + log_pz - log_qz, dim=0) - math.log(samples))
    return torch.stack(found)

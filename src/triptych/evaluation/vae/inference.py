"""Latents and likelihoods of given images under a trained VAE."""

from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from triptych.evaluation.vae.importance import importance_sampling
from triptych.models.vae.family import VaeFamily

DRAWS = 200  # of z per image


@torch.no_grad()
def encode(family: VaeFamily, pixels: Tensor) -> Tensor:
    """Return latents (n, d) of binary images (n, ...): the mean of the Gaussian q(z|x), after the planar layers."""
    posterior = family.networks.encode(pixels.float())
    return posterior.transform(posterior.mean.float().unsqueeze(1))[0].squeeze(1)


def log_likelihood(family: VaeFamily, pixels: Tensor, seed: int, draws: int = DRAWS) -> Tensor:
    """Return log p(x), (n,) in nats, of binary images (n, ...), by importance sampling with `draws` draws per image."""
    with TemporaryDirectory() as pieces:
        found = importance_sampling(
            family, pixels, samples=draws, seed=seed, pieces=Path(pieces), name="log-likelihood"
        )
    return found.log_likelihood

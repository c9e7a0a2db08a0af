"""Latents and likelihoods of given images under a trained flow."""

import torch
from torch import Tensor

from triptych.data.dequantization import dequantize
from triptych.models.flow.family import CHUNK, FlowFamily
from triptych.objectives.likelihoods import log_mean_exp
from triptych.training.reproducible import seeded

DRAWS = 1  # of noise per image
MIDDLE = 0.5  # noise in the middle of a level, so that rounding in the inverse cannot change the level


@torch.no_grad()
def encode(family: FlowFamily, pixels: Tensor) -> Tensor:
    """Return latents (n, D) of 8-bit images (n, ...), each pixel in the middle of its level."""
    parts = (dequantize(part.float(), MIDDLE) for part in pixels.split(CHUNK))
    return torch.cat([family.continuous(part)[0] for part in parts])


@torch.no_grad()
def log_likelihood(family: FlowFamily, pixels: Tensor, seed: int, draws: int = DRAWS) -> Tensor:
    """Return log 1/K sum_k p(x + u_k), (n,) in nats, of 8-bit images (n, ...), with K = `draws` draws of noise u_k.

    In expectation it is a lower bound on log P(x), which grows with K.
    """
    found = []
    with seeded(seed, "dequantisation"):
        for part in pixels.split(CHUNK):
            likelihoods = [family.networks.calc_likelihood(part) for _ in range(draws)]
            found.append(log_mean_exp(torch.stack(likelihoods, 1).cpu().double()))
    return torch.cat(found)

"""Estimate log p(x) of a VAE by importance sampling from its posterior (Rezende et al. 2014; Burda et al. 2016)."""

import math
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from triptych.core.progress import Progress
from triptych.models.vae.family import VaeFamily
from triptych.training.reproducible import seeded
from triptych.training.weights import load_tensors, save_tensors

LATENTS_AT_ONCE = 2000  # decoded in one pass; limits the memory
PIECE = 500  # images per file of intermediate results


class Estimate(NamedTuple):
    """log p(x) of n images in nats, and the effective sample size of the weights, each (n,) in float64."""

    log_likelihood: Tensor
    effective_samples: Tensor


@torch.no_grad()
def importance_sampling(
    family: VaeFamily, pixels: Tensor, *, samples: int, seed: int, pieces: Path, name: str
) -> Estimate:
    """Return log 1/K sum_k p(x, z_k) / q(z_k|x) with K = `samples` draws z_k of q(z|x), for binary images (n, h, w).

    In expectation this is a lower bound on log p(x), and larger than the ELBO (Burda et al. 2016, section 5). The
    effective sample size is (sum w)^2 / sum w^2; if it is near 1, few draws dominate and the bound is loose. The folder
    `pieces` keeps intermediate results, and a second call continues after them.
    """
    paths = [pieces / f"importance-{index:05d}.safetensors" for index in range(-(-len(pixels) // PIECE))]
    done = min(PIECE * sum(path.exists() for path in paths), len(pixels))
    progress = Progress(name, len(pixels), done)
    for index, (path, piece) in enumerate(zip(paths, pixels.split(PIECE), strict=True)):
        if path.exists():
            continue
        with seeded(seed, "importance sampling", index):
            save_tensors(path, _piece(family, piece.float(), samples)._asdict())
        done += len(piece)
        if progress.due():
            progress.report(done, f"importance sampling, {samples:,} draws per image")
    progress.finish()
    found = [load_tensors(path) for path in paths]
    return Estimate(*(torch.cat([part[key] for part in found]) for key in Estimate._fields))


def _piece(family: VaeFamily, images: Tensor, samples: int) -> Estimate:
    """Return the estimate for images that are encoded in one pass and decoded in several."""
    posterior = family.networks.encode(images)
    together = max(1, LATENTS_AT_ONCE // samples)
    chunks = [min(LATENTS_AT_ONCE, samples - drawn) for drawn in range(0, samples, LATENTS_AT_ONCE)]
    results = []
    for start in range(0, len(images), together):
        few = slice(start, start + together)
        parts = [-sum(family.sampled_terms(images[few], posterior[few], draws)) for draws in chunks]
        log_weights = torch.cat(parts, dim=1).cpu().double()
        total = log_weights.logsumexp(1)
        results.append((total - math.log(samples), (2 * total - (2 * log_weights).logsumexp(1)).exp()))
    return Estimate(*(torch.cat(part) for part in zip(*results, strict=True)))

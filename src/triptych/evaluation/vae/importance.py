"""log p(x) of a VAE by importance sampling from its posterior (Burda et al. 2016, section 5; Rezende et al. 2014)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.core.progress import Progress
from triptych.training.reproducible import seeded
from triptych.training.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.models.vae.family import VaeFamily

LATENTS_AT_ONCE = 2000  # decoded: memory grows with this, not with the number of draws
PIECE = 500  # images between two savings


@dataclass(frozen=True)
class Estimate:
    """Of n images: log p(x) in nats, and the effective sample size of its weights, each (n,) in float64."""

    log_likelihood: Tensor
    effective_samples: Tensor


@torch.no_grad()
def importance_sampling(
    family: VaeFamily, pixels: Tensor, *, samples: int, seed: int, pieces: Path, name: str
) -> Estimate:
    """log 1/K sum_k p(x, z_k) / q(z_k|x) with K = `samples` draws z_k of q(z|x), for images (n, 28, 28) of 0 and 1.

    In expectation a lower bound on log p(x), above the ELBO. The effective sample size is (sum w)^2 / sum w^2: where it
    is near 1, a few draws decide and the bound is loose. Finished pieces are kept in the folder `pieces`, and a second
    call goes on after them.
    """
    paths = [pieces / f"importance-{index:05d}.safetensors" for index in range(-(-len(pixels) // PIECE))]
    done = PIECE * sum(path.exists() for path in paths)
    progress = Progress(name, len(pixels), done)
    for index, (path, piece) in enumerate(zip(paths, pixels.split(PIECE), strict=True)):
        if path.exists():
            continue
        with seeded(seed, "importance sampling", index):
            log_likelihood, effective = _piece(family, piece.float(), samples)
        save_tensors(path, {"log_likelihood": log_likelihood, "effective_samples": effective})
        done += len(piece)
        if progress.due():
            progress.report(done, f"importance sampling, {samples:,} draws an image")
    progress.finish()
    found = [load_tensors(path) for path in paths]
    return Estimate(*(torch.cat([part[key] for part in found]) for key in ("log_likelihood", "effective_samples")))


def _piece(family: VaeFamily, images: Tensor, samples: int) -> tuple[Tensor, Tensor]:
    """The estimate for images that are encoded at once and decoded few at a time."""
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
    log_likelihood, effective = (torch.cat(part) for part in zip(*results, strict=True))
    return log_likelihood, effective

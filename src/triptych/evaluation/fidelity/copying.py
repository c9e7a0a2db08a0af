"""Does a model copy its training images? The nearest training images of its samples, in a classifier's features.

Meehan, Chaudhuri and Dasgupta (2020), "A Non-Parametric Test to Detect Data-Copying in Generative Models", compare two
sets of distances to the nearest training image: those of samples, and those of real images that the model has not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from triptych.figures.image_grids import image_rows
from triptych.figures.style import save_images

PICTURE = "X9-nearest.png"
PAIRS = 10  # in the picture
CHUNK = 500  # images whose distances to all training images are in memory at the same time
SIGNIFICANT = 5.0  # a z-score beyond it is not due to chance; that of MNIST's 10,000 validation images is -2.5


class Nearest(NamedTuple):
    """For each image, the index (n,) of its nearest training image, and the Euclidean distance (n,) of the features."""

    index: Tensor
    distance: Tensor


def nearest(features: Tensor, training: Tensor) -> Nearest:
    """Return the nearest training images, given features (n, f) of images and (t, f) of training images.

    The distance of each pair is computed from the difference, since `cdist` has rounding errors near zero.
    """
    index = torch.cat([torch.cdist(part, training).argmin(1) for part in features.split(CHUNK)])
    return Nearest(index, torch.linalg.vector_norm(features - training[index], dim=1))


def compare_distances(samples: Tensor, test: Tensor) -> dict[str, float]:
    """Return how often a sample is nearer to its training image than a test image, from distances (m,) and (n,).

    `value` is the share of the m n pairs, where a tie counts one half: the statistic of Mann and Whitney (1947). It is
    0.5 for new real images and 1 for copies. `z_score` is C_T of Meehan et al. (2020, section 4) with a single cell:
    normal with mean 0 and deviation 1 if both sets have one distribution, and negative if samples are nearer.

    >>> import torch
    >>> compare_distances(torch.tensor([1.0, 2.0]), torch.tensor([2.0, 3.0]))["value"]
    0.875
    """
    m, n = len(samples), len(test)
    ordered = test.sort().values
    not_farther = torch.searchsorted(ordered, samples) + torch.searchsorted(ordered, samples, right=True)
    share = 1 - float(not_farther.double().mean()) / (2 * n)
    return {"value": share, "z_score": (0.5 - share) / ((m + n + 1) / (12 * m * n)) ** 0.5}


def measure_copying(samples: Nearest, test: Nearest, training_images: int, extractor: str) -> dict[str, Any]:
    """Return the comparison of samples with test images, its protocol, and the conclusion as a sentence."""
    found = {
        **compare_distances(samples.distance, test.distance),
        "samples": len(samples.index),
        "test_images": len(test.index),
        "training_images": training_images,
        "extractor": extractor,
    }
    return {**found, "sentence": _sentence(found)}


def _sentence(found: Mapping[str, Any]) -> str:
    if found["z_score"] < -SIGNIFICANT:
        verdict = (
            "samples are nearer to training images than new real images are: the model copies, or its samples vary "
            "less than real images"
        )
    elif found["z_score"] > SIGNIFICANT:
        verdict = "samples are farther from the training images than new real images are: no sign of copies"
    else:
        verdict = "samples are as far from the training images as new real images are: no sign of copies"
    return f"{verdict} (share {found['value']:.3f}, C_T {found['z_score']:.1f})"


def draw_nearest(folder: Path, name: str, samples: np.ndarray, training: np.ndarray, found: Nearest) -> None:
    """Draw the ten samples of the model `name` that are nearest to a training image, above these images, as X9.

    `samples` and `training` are uint8 images (n, h, w) or (n, 3, h, w).
    """
    chosen = found.distance.argsort(stable=True)[:PAIRS]
    pairs = np.stack([samples[chosen], training[found.index[chosen]]])
    distances = [f"{distance:.3g}" for distance in found.distance[chosen].tolist()]
    title = f"The samples of {name} that are nearest to a training image, with the distance of their features"
    figure = image_rows(pairs, distances, title, [("sample", ""), ("training\nimage", "")])
    save_images(figure, folder / PICTURE, colour=samples.ndim == 4)

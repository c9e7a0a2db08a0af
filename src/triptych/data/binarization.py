"""Binarisation of 8-bit pixels."""

from __future__ import annotations

from typing import Any

import numpy as np

from triptych.data.settings import Dataset

FULL_INTENSITY = 255


def binarize_split(images: np.ndarray, dataset: Dataset, split: str, rng: np.random.Generator) -> np.ndarray:
    """Return the pixels of a split that models use, uint8 of the shape of `images`.

    `static` keeps published 0/1 images and draws 8-bit images once. `stochastic` draws the evaluation splits once and
    keeps the training images in 8 bits, because training draws them anew at every visit.
    """
    kind = dataset.binarization
    if kind == "none" or (kind == "static" and images.max() <= 1) or (kind == "stochastic" and split == "train"):
        return images
    if kind == "threshold":
        return threshold_binarize(images, dataset.threshold).astype(np.uint8)
    return stochastic_binarize(images, rng.random(images.shape, np.float32)).astype(np.uint8)


def threshold_binarize(pixels: Any, threshold: float) -> Any:  # noqa: ANN401 (NumPy or PyTorch, uint8 of any shape)
    """Return whether each pixel reaches the share `threshold` of full intensity.

    >>> threshold_binarize(np.array([0, 127, 128, 255]), 0.5).tolist()
    [False, False, True, True]
    """
    return pixels >= threshold * FULL_INTENSITY


def stochastic_binarize(pixels: Any, noise: Any) -> Any:  # noqa: ANN401 (NumPy or PyTorch; noise uniform on [0, 1))
    """Return one Bernoulli draw per pixel with mean x / 255 (Salakhutdinov and Murray 2008)."""
    return noise * FULL_INTENSITY < pixels

"""From a model's intensities to 8-bit images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.core.errors import TriptychError

if TYPE_CHECKING:
    from torch import Tensor


TOLERANCE = 0.5 / 255  # half a level: what rounding would undo


def quantize(intensities: Tensor, what: str) -> Tensor:
    """uint8 images from intensities in [0, 1], rounded to the nearest level.

    Raises TriptychError where a value is not finite, or not an intensity: converted to bytes it would look like a black
    or a white pixel, and a broken model, or one on another scale, would get a finite score.
    """
    if not torch.isfinite(intensities).all():
        share = 1 - float(torch.isfinite(intensities).flatten(1).all(1).float().mean())
        raise TriptychError(f"{what}: {share:.1%} of the images hold NaN or infinity; the model has diverged")
    low, high = float(intensities.min()), float(intensities.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        raise TriptychError(f"{what}: intensities from {low:.3g} to {high:.3g}, but they must lie in [0, 1]")
    return (intensities.clamp(0, 1) * 255).round().to(torch.uint8)

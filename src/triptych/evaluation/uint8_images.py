"""Convert a model's intensities to 8-bit images."""

import torch
from torch import Tensor

from triptych.core.errors import TriptychError

TOLERANCE = 0.5 / 255  # half a level, which rounding removes


def to_uint8(intensities: Tensor, name: str) -> Tensor:
    """Return uint8 images (n, ...) from intensities (n, ...) in [0, 1], rounded to the nearest level.

    Raises TriptychError, which begins with `name`, if a value is not finite or outside [0, 1]. Converted to bytes, such
    a value would look like a black or white pixel, and a diverged model would get a finite score.

    >>> import torch
    >>> to_uint8(torch.tensor([[0.0, 0.5, 1.0]]), "samples")
    tensor([[  0, 128, 255]], dtype=torch.uint8)
    """
    if not torch.isfinite(intensities).all():
        share = 1 - float(torch.isfinite(intensities).flatten(1).all(1).float().mean())
        raise TriptychError(
            f"{name}: {share:.1%} of the images hold NaN or infinity: lower the learning rate and train again"
        )
    low, high = float(intensities.min()), float(intensities.max())
    if low < -TOLERANCE or high > 1 + TOLERANCE:
        words = f"intensities from {low:.3g} to {high:.3g}, but they must lie in [0, 1]"
        raise TriptychError(f"{name}: {words}: correct the family's `decode`")
    return (intensities.clamp(0, 1) * 255).round().to(torch.uint8)

"""What is done to pixels before a model sees them.

The noise is an argument, so that the caller owns the random numbers, and so that numpy arrays (in the prepare stage)
and torch tensors (in training) go through the same lines. The log determinants of dequantisation are in
`triptych.models.flow.dequantization`, and the preparations that a flow inverts in `triptych.models.flow.preparation`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

LEVELS = 256  # of an 8-bit pixel
BELOW_ONE = 1 - 2**-24  # the largest float32 below 1: 255 + U rounds up to 256 about once in 10^5 draws


@dataclass(frozen=True)
class ThresholdBinarize:
    """1 where the intensity reaches `threshold` of its full value, else 0."""

    threshold: float

    def forward(self, pixels: Any) -> Any:  # noqa: ANN401 (numpy or torch, uint8 of any shape)
        return pixels >= self.threshold * (LEVELS - 1)


@dataclass(frozen=True)
class StochasticBinarize:
    """One draw of a Bernoulli variable whose mean is the intensity x / 255 (Salakhutdinov and Murray 2008)."""

    def forward(self, pixels: Any, noise: Any) -> Any:  # noqa: ANN401 (numpy or torch; noise uniform on [0, 1))
        return noise * (LEVELS - 1) < pixels


def dequantize(pixels: Any, noise: Any) -> Any:  # noqa: ANN401 (numpy or torch, of one shape)
    """8-bit pixels to the continuum: (x + u) / 256 in [0, 1), with u in [0, 1) (Theis et al. 2016, section 3.1)."""
    return ((pixels + noise) / LEVELS).clip(0, BELOW_ONE)


def quantize(values: Any) -> Any:  # noqa: ANN401 (numpy or torch)
    """The 8-bit level, 0 to 255, that each value of [0, 1) lies in; values beyond go to the nearest level."""
    return (values * LEVELS).clip(0, LEVELS - 1) // 1

"""What is done to pixels before a model sees them.

Each transform is a small object with `forward` and, where they are defined, `inverse` and a log determinant in nats
per image. The noise is an argument, so that the caller owns the random numbers, and so that numpy arrays (in the
prepare stage) and torch tensors (in training) go through the same lines.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

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


@dataclass(frozen=True)
class Dequantize:
    """8-bit pixels to the continuum: y = (x + u) / 256 with u uniform on [0, 1) (Theis et al. 2016, section 3.1).

    A density of y scores at most as well as the probability of x: E_u log p(y) + log_det <= log P(x).
    """

    def forward(self, pixels: Any, noise: Any) -> tuple[Any, float]:  # noqa: ANN401 (numpy or torch)
        """y in [0, 1) of the pixels' shape (n, ...), and the log determinant in nats per image, -D log 256."""
        dimensions = math.prod(pixels.shape[1:])
        return ((pixels + noise) / LEVELS).clip(0, BELOW_ONE), -dimensions * math.log(LEVELS)

    def inverse(self, values: Any) -> Any:  # noqa: ANN401 (numpy or torch)
        """The level 0..255 that each value lies in, still floating-point."""
        return (values * LEVELS).clip(0, LEVELS - 1) // 1


@dataclass(frozen=True)
class Logit:
    """[0, 1) to the real line: z = logit((1 - alpha) y + alpha / 2) (Dinh et al. 2017, section 4.1).

    `alpha` keeps the ends finite. Its factor is part of the log determinant and is undone in the inverse.
    """

    alpha: float

    def forward(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """z of shape (n, ...), and the log determinant in nats per image, shape (n,)."""
        squeezed = (1 - self.alpha) * values + self.alpha / 2
        log_inside, log_outside = squeezed.log(), (-squeezed).log1p()
        slope = (math.log1p(-self.alpha) - log_inside - log_outside).flatten(1)
        return log_inside - log_outside, slope.sum(1)

    def inverse(self, logits: Tensor) -> tuple[Tensor, Tensor]:
        """y of shape (n, ...), and the log determinant of this direction in nats per image, shape (n,)."""
        from torch.nn.functional import logsigmoid

        values = (logits.sigmoid() - self.alpha / 2) / (1 - self.alpha)
        slope = (logsigmoid(logits) + logsigmoid(-logits) - math.log1p(-self.alpha)).flatten(1)
        return values, slope.sum(1)

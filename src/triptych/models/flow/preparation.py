"""The way from 8-bit pixels to the real line, as transforms: what a likelihood must account for."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from triptych.data.dequantization import LEVELS, dequantize, quantize
from triptych.models.flow.transform import Transform
from triptych.objectives.likelihoods import log_likelihood_standard_normal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triptych.models.flow.coupling import AffineCoupling


class Dequantize(Transform):
    """8-bit levels to y = (x + u) / 256 in [0, 1), with fresh uniform noise u, and back to the level.

    A density p(y) then bounds the probability of x: E_u [log p(y) + log det] <= log P(x) (Theis et al. 2016,
    section 3.1), with log det = -D log 256.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y of the shape of x (n, ...), any type of number in 0..255, and -D log 256 in nats."""
        x = x.to(torch.get_default_dtype())
        return dequantize(x, torch.rand_like(x)), self.log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The level 0..255 that each value lies in, and D log 256 in nats."""
        return quantize(z), -self.log_det(z)

    @staticmethod
    def log_det(values: Tensor) -> Tensor:
        """-D log 256 for each of n values of D dimensions."""
        return values.new_full((len(values),), -values[0].numel() * math.log(LEVELS))


class VariationalDequantize(Transform):
    """y = (x + u) / 256 with u = sigmoid(g(e; x)), e ~ N(0, I): noise that a conditional flow g learns to place.

    Log det stands for -log q(u|x) - D log 256, so that E_u [log p(y) + log det] <= log P(x) is a tighter bound than
    uniform noise gives, and equal to it for uniform q (Ho et al. 2019, Flow++, section 3.1, equation 12).
    """

    def __init__(self, order: Tensor, couplings: Iterable[AffineCoupling]) -> None:
        """The couplings, one after another, are g; their context is x, flattened (n, D) and scaled to [-1, 1].

        They give the noise of pixel `order[i]` in place i.
        """
        super().__init__()
        self.register_buffer("back", order.argsort(), persistent=False)
        self.couplings = nn.ModuleList(couplings)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """y of the shape of x (n, ...), and the log determinant's stand-in in nats."""
        pixels = x.to(torch.get_default_dtype()).flatten(1)
        context = pixels / ((LEVELS - 1) / 2) - 1
        noise = torch.randn_like(pixels)
        log_q = log_likelihood_standard_normal(noise)
        for coupling in self.couplings:
            noise, log_det = coupling(noise, context)
            log_q = log_q - log_det
        log_q = log_q - (logsigmoid(noise) + logsigmoid(-noise)).sum(1)
        return dequantize(pixels, noise.sigmoid().index_select(1, self.back)).view(x.shape), Dequantize.log_det(
            pixels
        ) - log_q

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """The level 0..255 that each value lies in, and D log 256 in nats: the noise is thrown away."""
        return quantize(z), -Dequantize.log_det(z)


class Logit(Transform):
    """[0, 1) to the real line: z = logit((1 - alpha) y + alpha / 2) (Dinh et al. 2017, section 4.1).

    `alpha` keeps the ends finite. Its factor is part of the log determinant and is undone in the inverse.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z of shape (n, ...), and the log determinant in nats per image, shape (n,)."""
        squeezed = (1 - self.alpha) * x + self.alpha / 2
        log_inside, log_outside = squeezed.log(), (-squeezed).log1p()
        slope = (math.log1p(-self.alpha) - log_inside - log_outside).flatten(1)
        return log_inside - log_outside, slope.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """y of shape (n, ...), and the log determinant of this direction (n,)."""
        values = (z.sigmoid() - self.alpha / 2) / (1 - self.alpha)
        slope = (logsigmoid(z) + logsigmoid(-z) - math.log1p(-self.alpha)).flatten(1)
        return values, slope.sum(1)


class Scale(Transform):
    """[0, 1) to [-1, 1): z = 2 y - 1, with log det D log 2."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x - 1, x.new_full((len(x),), x[0].numel() * math.log(2))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z + 1) / 2, z.new_full((len(z),), -z[0].numel() * math.log(2))

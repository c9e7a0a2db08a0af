"""Dequantisation: from 8-bit levels to continuous values in [0, 1), with uniform or with learned noise."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from triptych.data.dequantization import LEVELS, dequantize, quantize
from triptych.models.flow.coupling import AffineCoupling
from triptych.models.flow.transform import Transform
from triptych.objectives.likelihoods import log_likelihood_standard_normal


class Dequantize(Transform):
    """Map 8-bit levels x to y = (x + u) / 256 with uniform noise u in [0, 1).

    With log det = -D log 256, a density p(y) gives a lower bound on the probability of x: E_u [log p(y) + log det] <=
    log P(x) (Theis et al. 2016, section 3.1). The inverse maps each value to its level.
    """

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y in [0, 1), and -D log 256 in nats, from levels x (n, ...) in 0..255 of any numeric type."""
        x = x.to(torch.get_default_dtype())
        return dequantize(x, torch.rand_like(x)), self.log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return quantize(z), -self.log_det(z)

    @staticmethod
    def log_det(values: Tensor) -> Tensor:
        """Return -D log 256, (n,) in nats, for values (n, ...) of D dimensions.

        >>> import torch
        >>> Dequantize.log_det(torch.zeros(1, 2)) / torch.tensor(2.0).log()
        tensor([-16.])
        """
        return values.new_full((len(values),), -values[0].numel() * math.log(LEVELS))


class VariationalDequantize(Transform):
    """Map 8-bit levels x to y = (x + u) / 256 with u = sigmoid(g(e; x)), where e ~ N(0, I) and g is a conditional flow.

    In place of the log determinant, `forward` returns -log q(u|x) - D log 256. Then E_u [log p(y) + log det] is a lower
    bound on log P(x), and at the optimal q a tighter one than with uniform noise (Ho et al. 2019, Flow++, section 3.1,
    equation 12).
    """

    def __init__(self, order: Tensor, couplings: Iterable[AffineCoupling], shape: tuple[int, ...] = (-1,)) -> None:
        """Set up g as a sequence of couplings on (n, *shape), with the pixels, scaled to [-1, 1], as context.

        By default they act on vectors (n, D). Place i in dimension 1 of their output is the noise of place `order[i]`
        of the pixels.
        """
        super().__init__()
        self.shape = shape
        self.register_buffer("back", order.argsort(), persistent=False)
        self.couplings = nn.ModuleList(couplings)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return y in [0, 1), of the shape of x (n, ...), and -log q(u|x) - D log 256, (n,) in nats."""
        pixels = x.to(torch.get_default_dtype()).reshape(len(x), *self.shape)
        context = pixels / ((LEVELS - 1) / 2) - 1
        noise = torch.randn_like(pixels)
        log_q = log_likelihood_standard_normal(noise)
        for coupling in self.couplings:
            noise, log_det = coupling(noise, context)
            log_q = log_q - log_det
        log_q = log_q - (logsigmoid(noise) + logsigmoid(-noise)).flatten(1).sum(1)
        values = dequantize(pixels, noise.sigmoid().index_select(1, self.back)).view(x.shape)
        return values, Dequantize.log_det(pixels) - log_q

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return quantize(z), -Dequantize.log_det(z)

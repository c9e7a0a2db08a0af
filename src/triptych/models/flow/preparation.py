"""The fixed maps from [0, 1) to the inputs of the couplings."""

import math

from torch import Tensor
from torch.nn.functional import logsigmoid

from triptych.models.flow.transform import Transform


class Logit(Transform):
    """z = logit((1 - alpha) y + alpha / 2). Dinh et al. (2017, section 4.1) have alpha instead of alpha / 2.

    `alpha` keeps the logit finite at 0 and 1. The log determinant and the inverse include the factor 1 - alpha.
    """

    def __init__(self, alpha: float) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return z of the shape of x (n, ...), and the log determinant (n,) in nats per image.

        >>> import torch
        >>> Logit(0.1)(torch.tensor([[0.5]]))[0]
        tensor([[0.]])
        """
        squeezed = (1 - self.alpha) * x + self.alpha / 2
        log_inside, log_outside = squeezed.log(), (-squeezed).log1p()
        slope = (math.log1p(-self.alpha) - log_inside - log_outside).flatten(1)
        return log_inside - log_outside, slope.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        values = (z.sigmoid() - self.alpha / 2) / (1 - self.alpha)
        slope = (logsigmoid(z) + logsigmoid(-z) - math.log1p(-self.alpha)).flatten(1)
        return values, slope.sum(1)


class Scale(Transform):
    """z = 2 y - 1, from [0, 1) to [-1, 1), with log det D log 2."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * x - 1, x.new_full((len(x),), x[0].numel() * math.log(2))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        return (z + 1) / 2, z.new_full((len(z),), -z[0].numel() * math.log(2))

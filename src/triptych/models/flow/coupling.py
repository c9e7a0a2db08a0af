"""Couplings: one part of the dimensions stays and decides how the rest moves (Dinh et al. 2015 and 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform


def checkerboard(image_shape: tuple[int, ...]) -> Tensor:
    """The pixels' places in the flattened image, those on squares of the first pixel's colour first."""
    rows, columns = image_shape[-2:]
    board = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2
    return board.expand(image_shape).flatten().argsort(stable=True)


def halves(size: int) -> tuple[int, int]:
    """The sizes of two parts of so many dimensions; of an odd number the first part has one more."""
    return size - size // 2, size // 2


class Coupling(Transform):
    """Splits dimension 1 in two parts of the given sizes: the first stays if `parity` is 0, else the second.

    The network sees the part that stays and answers for the other, which is the same function as feeding it the masked
    input, at half the arithmetic. A checkerboard is this split in the order that `checkerboard` gives: parts that lie
    together in memory need not be gathered at every layer.
    """

    def __init__(self, sizes: tuple[int, int], parity: int, network: nn.Module) -> None:
        super().__init__()
        self.sizes, self.parity, self.network = sizes, parity, network

    def _part(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What stays and what moves."""
        first, second = x.split(self.sizes, 1)
        return (second, first) if self.parity else (first, second)

    def _join(self, kept: Tensor, moved: Tensor) -> Tensor:
        return torch.cat((moved, kept) if self.parity else (kept, moved), 1)


class AdditiveCoupling(Coupling):
    """z_b = x_b + t(x_a): volume stays (Dinh et al. 2015, NICE, section 3.2). Network: kept (n, a) to t (n, b)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = 0, from x of shape (n, d)."""
        kept, moved = self._part(x)
        return self._join(kept, moved + self.network(kept).to(x.dtype)), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = 0, from z of shape (n, d)."""
        kept, moved = self._part(z)
        return self._join(kept, moved - self.network(kept).to(z.dtype)), z.new_zeros(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """The last bias takes what moves to mean 0."""
        last = list(self.network.modules())[-1]
        last.bias.sub_(self._part(self(x)[0])[1].mean(0))


class AffineCoupling(Coupling):
    """z_b = x_b exp(s(x_a)) + t(x_a) (Dinh et al. 2017, RealNVP, equations 4 and 5).

    s goes through tanh, times a learned factor, as in the paper's own code: without the factor no layer can stretch by
    more than e, and training is far slower. Network: kept (n, a, ...) to (n, 2 b, ...), s before tanh and then t; it
    starts at zero, and the coupling as the identity.
    """

    def __init__(self, sizes: tuple[int, int], parity: int, network: nn.Module, factor_shape: tuple[int, ...]) -> None:
        """`factor_shape` (b, ...) broadcasts against what moves of one example."""
        super().__init__(sizes, parity, network)
        self.factor = nn.Parameter(torch.ones(factor_shape))

    def _scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = kept if context is None else torch.cat([kept, context], 1)
        raw_scale, shift = self.network(seen).to(kept.dtype).chunk(2, dim=1)
        return raw_scale.tanh() * self.factor, shift

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = sum of s, from x (n, d, ...); the network also sees the context (n, c, ...)."""
        kept, moved = self._part(x)
        log_scale, shift = self._scale_and_shift(kept, context)
        return self._join(kept, moved * log_scale.exp() + shift), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = -sum of s, from z (n, d, ...)."""
        kept, moved = self._part(z)
        log_scale, shift = self._scale_and_shift(kept, context)
        return self._join(kept, (moved - shift) * (-log_scale).exp()), -log_scale.flatten(1).sum(1)

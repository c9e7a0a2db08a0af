"""Couplings: one part of the dimensions stays and decides how the rest moves (Dinh et al. 2015 and 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform


def checkerboard(image_shape: tuple[int, ...], parity: int) -> Tensor:
    """A boolean mask, flattened: true on the squares of one colour of the board."""
    rows, columns = image_shape[-2:]
    board = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2 == parity
    return board.expand(image_shape).flatten()


def half(size: int, parity: int) -> Tensor:
    """A boolean mask: true on the first half of an even number of dimensions, or on the second."""
    return (torch.arange(size) < size // 2) == (parity == 0)


class Coupling(Transform):
    """Splits along dimension 1 by a mask: `kept` are the indices that stay, `moved` the others.

    The network sees the kept dimensions only and answers for the moved ones only, which is the same function as
    feeding it the masked input, at half the arithmetic.
    """

    def __init__(self, mask: Tensor, network: nn.Module) -> None:
        super().__init__()
        self.register_buffer("kept", mask.nonzero().squeeze(1), persistent=False)
        self.register_buffer("moved", (~mask).nonzero().squeeze(1), persistent=False)
        self.network = network

    def _replace(self, x: Tensor, moved: Tensor) -> Tensor:
        return x.index_copy(1, self.moved, moved)


class AdditiveCoupling(Coupling):
    """z_b = x_b + t(x_a): volume stays (Dinh et al. 2015, NICE, section 3.2). Network: kept (n, a) to t (n, b)."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = 0, from x of shape (n, d)."""
        return self._replace(x, x[:, self.moved] + self.network(x[:, self.kept]).to(x.dtype)), x.new_zeros(len(x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = 0, from z of shape (n, d)."""
        return self._replace(z, z[:, self.moved] - self.network(z[:, self.kept]).to(z.dtype)), z.new_zeros(len(z))

    @torch.no_grad()
    def initialise(self, x: Tensor) -> None:
        """The last bias takes what moves to mean 0."""
        last = list(self.network.modules())[-1]
        last.bias.sub_(self(x)[0][:, self.moved].mean(0))


class AffineCoupling(Coupling):
    """z_b = x_b exp(s(x_a)) + t(x_a) (Dinh et al. 2017, RealNVP, equations 4 and 5).

    s goes through tanh, times a learned factor, as in the paper's own code: without the factor no layer can stretch by
    more than e, and training is far slower. Network: kept (n, a, ...) to (n, 2 b, ...), s before tanh and then t; it
    starts at zero, and the coupling as the identity.
    """

    def __init__(self, mask: Tensor, network: nn.Module, factor_shape: tuple[int, ...]) -> None:
        """`factor_shape` (b, ...) broadcasts against what moves of one example."""
        super().__init__(mask, network)
        self.factor = nn.Parameter(torch.ones(factor_shape))

    def _scale_and_shift(self, kept: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        seen = kept if context is None else torch.cat([kept, context], 1)
        raw_scale, shift = self.network(seen).to(kept.dtype).chunk(2, dim=1)
        return raw_scale.tanh() * self.factor, shift

    def forward(self, x: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = sum of s, from x (n, d, ...); the network also sees the context (n, c, ...)."""
        log_scale, shift = self._scale_and_shift(x[:, self.kept], context)
        return self._replace(x, x[:, self.moved] * log_scale.exp() + shift), log_scale.flatten(1).sum(1)

    def inverse(self, z: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = -sum of s, from z (n, d, ...)."""
        log_scale, shift = self._scale_and_shift(z[:, self.kept], context)
        return self._replace(z, (z[:, self.moved] - shift) * (-log_scale).exp()), -log_scale.flatten(1).sum(1)

"""Affine couplings on a mask (Dinh et al. 2017, section 3)."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from triptych.models.flow.transform import Transform


def checkerboard(image_shape: tuple[int, ...], parity: int) -> Tensor:
    """A boolean mask, flattened: true on the squares of one colour of the board."""
    rows, columns = image_shape[-2:]
    board = (torch.arange(rows)[:, None] + torch.arange(columns)) % 2 == parity
    return board.expand(image_shape).flatten()


class AffineCoupling(Transform):
    """The masked half x_a stays and decides how the other half moves: z_b = x_b exp(s(x_a)) + t(x_a).

    s goes through tanh, times a learned factor a dimension, as in the paper's own code: without the factor no layer can
    stretch by more than e, and training is far slower. The network sees the masked dimensions only and
    returns a scale and a shift for the others only, which is the same function as feeding it the masked image, at half
    the arithmetic. Its last layer starts at zero: the coupling starts as the identity.
    """

    def __init__(self, mask: Tensor, hidden: list[int]) -> None:
        super().__init__()
        self.register_buffer("kept", mask.nonzero().squeeze(1), persistent=False)
        self.register_buffer("moved", (~mask).nonzero().squeeze(1), persistent=False)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise([len(self.kept), *hidden]):
            layers += [nn.Linear(inputs, outputs), nn.ReLU()]
        last = nn.Linear(hidden[-1], 2 * len(self.moved))
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        self.network = nn.Sequential(*layers, last)
        self.factor = nn.Parameter(torch.ones(len(self.moved)))

    def _scale_and_shift(self, kept: Tensor) -> tuple[Tensor, Tensor]:
        raw_scale, shift = self.network(kept).float().chunk(2, dim=1)
        return raw_scale.tanh() * self.factor, shift

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """z and log |det dz/dx| = sum of s, from x of shape (n, d)."""
        log_scale, shift = self._scale_and_shift(x[:, self.kept])
        return x.index_copy(1, self.moved, x[:, self.moved] * log_scale.exp() + shift), log_scale.sum(1)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """x and log |det dx/dz| = -sum of s, from z of shape (n, d)."""
        log_scale, shift = self._scale_and_shift(z[:, self.kept])
        return z.index_copy(1, self.moved, (z[:, self.moved] - shift) * (-log_scale).exp()), -log_scale.sum(1)

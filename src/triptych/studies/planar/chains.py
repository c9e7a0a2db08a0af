"""Planar flows in the plane, many side by side, for training at a speed that single flows do not reach.

c flows, the shallowest first, act on n points of their own, z (c, n, 2). Their layers are one array (c, k, 5): u,
before it is made invertible, w and b, for k layers of the deepest flow. Where a flow has fewer, zeros stand: a layer
that leaves its points alone and gets no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from triptych.objectives.planar import gradient_through_invertible, invertible

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


PARTS = (2, 2, 1)
"""Numbers of a layer that are u, w and b."""


class _Turns:
    """Rows of c sequences that are found in turn, each from those on one side of it; buffers and views made once.

    A row begins as what it is without the others, and enters its own sum with weight 1.
    """

    def __init__(self, depths: Sequence[int], points: int, dtype: np.dtype, *, backwards: bool) -> None:
        flows, deepest = len(depths), max(depths)
        self.rows, self.weights = np.zeros((flows, deepest, points), dtype), np.zeros((flows, deepest, deepest), dtype)
        """(c, k, n), and (c, k, k), with which weight the second's columns enter a row."""
        self.places = []
        """Of each turn, the flows that have its row, and the row."""
        self.steps = []
        """Of each turn, over these flows: the weights, the rows they are for, the row itself, and a buffer for it."""
        for row in reversed(range(deepest)) if backwards else range(deepest):
            deep = slice(sum(depth <= row for depth in depths), None)
            place, entering = (deep, slice(row, row + 1)), slice(row, None) if backwards else slice(row + 1)
            own = self.rows[place]
            self.places.append(place)
            self.steps.append((self.weights[*place, entering], self.rows[deep, entering], own, np.empty_like(own)))

    def weigh(self, weights: np.ndarray) -> None:
        """Take the rows' weights (c, k, k) of each other."""
        self.weights[:] = weights
        np.einsum("ckk->ck", self.weights)[:] = 1


class PlanarChains:
    """`planar_flow` of `invertible` layers, c times: flows of these depths, in increasing order, on n points each.

    At this size every call costs more than its arithmetic: so gradients are not left to autograd, all is done in NumPy,
    whose calls cost less than PyTorch's, and with few calls for each layer, since layers must run in turn. A layer
    meets z plus u_m h_m of each earlier layer, so that h_l = tanh(w_l'z + b_l + sum of w_l'u_m h_m): numbers, not
    points, go from layer to layer. Likewise backwards, where g is the gradient of what tanh is taken of.
    """

    def __init__(self, depths: Sequence[int], points: int, dtype: torch.dtype = torch.float32) -> None:
        numbers = torch.empty(0, dtype=dtype).numpy().dtype
        self.forwards = _Turns(depths, points, numbers, backwards=False)
        self.backwards = _Turns(depths, points, numbers, backwards=True)
        self.earlier = np.tri(max(depths), k=-1, dtype=numbers)
        """(k, k), 1 where the column's layer comes before the row's."""

    @torch.no_grad()
    def forward(self, z: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Where the flows send their points (c, n, 2), and log |det| of that way (c, n) in nats."""
        self.raw, self.w, b = layers.split(PARTS, dim=2)
        self.z, self.u, w = z.numpy(), invertible(self.raw, self.w).numpy(), self.w.numpy()
        turns, self.products = self.forwards, w @ self.u.transpose(0, 2, 1)
        turns.weigh(self.products)
        np.matmul(w, self.z.transpose(0, 2, 1), out=turns.rows)
        turns.rows += b.numpy()
        for weights, entering, row, term in turns.steps:
            np.matmul(weights, entering, out=term)
            np.tanh(term, out=row)
        h = turns.rows
        self.slopes = 1 - h * h
        self.determinants = 1 + self.slopes * np.einsum("ckk->ck", self.products)[..., None]
        end = self.z + h.transpose(0, 2, 1) @ self.u
        return torch.from_numpy(end), torch.from_numpy(np.log(self.determinants).sum(1))

    @torch.no_grad()
    def backward(self, of_end: Tensor, of_log_det: Tensor) -> Tensor:
        """The gradient of the layers (c, k, 5) that `forward` was last given, from those of what it found."""
        z, u, w, h, inner = self.z, self.u, self.w.numpy(), self.forwards.rows, np.einsum("ckk->ck", self.products)
        of_end, of_determinants = of_end.numpy(), of_log_det.numpy()[:, None] / self.determinants
        of_inner = np.einsum("ckn,ckn->ck", of_determinants, self.slopes)[..., None]
        turns = self.backwards
        turns.weigh(self.products.transpose(0, 2, 1))
        np.matmul(u, of_end.transpose(0, 2, 1), out=turns.rows)
        of_determinants *= h
        of_determinants *= 2 * inner[..., None]
        turns.rows -= of_determinants
        for place, (weights, entering, row, term) in zip(turns.places, turns.steps, strict=True):
            np.matmul(weights, entering, out=term)
            np.multiply(term, self.slopes[place], out=row)
        g = turns.rows
        met = (g @ h.transpose(0, 2, 1)) * self.earlier
        of_u = torch.from_numpy(h @ of_end + met.transpose(0, 2, 1) @ w + of_inner * w)
        of_w, of_b = torch.from_numpy(g @ z + met @ u + of_inner * u), torch.from_numpy(g.sum(2, keepdims=True))
        of_raw, more_of_w = gradient_through_invertible(self.raw, self.w, of_u)
        return torch.cat([of_raw, of_w + more_of_w, of_b], dim=2)

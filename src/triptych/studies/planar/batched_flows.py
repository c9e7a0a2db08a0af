"""Many planar flows of the plane in one batch, with hand-written gradients, for fast training.

c flows, in order of increasing depth, act on n points each, z (c, n, 2). Their layers are one array (c, k, 5): u before
it is made invertible, w, and b, for the k layers of the deepest flow. The missing layers of a shorter flow are zeros:
such a layer leaves its points unchanged and gets no gradient.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from triptych.objectives.planar import gradient_through_invertible, invertible

PART_SIZES = (2, 2, 1)
"""The numbers of a layer that are u, w and b."""


class BatchedFlows:
    """`planar_flow` of `invertible` layers for c flows with these depths, in increasing order, on n points each.

    At this size a call costs more than its arithmetic. So the gradients are written by hand, in NumPy, whose calls cost
    less than PyTorch's, and with few calls per layer. A layer acts on z plus u_m h_m of each earlier layer m, hence
    h_l = tanh(w_l'z + b_l + sum_m w_l'u_m h_m): numbers, not points, pass from layer to layer. The backward pass has
    the same form, for the gradients g of tanh's arguments.
    """

    def __init__(self, depths: Sequence[int], points: int, dtype: torch.dtype = torch.float32) -> None:
        numpy_dtype = torch.empty(0, dtype=dtype).numpy().dtype
        self.forwards = _Recurrence(depths, points, numpy_dtype, backwards=False)
        self.backwards = _Recurrence(depths, points, numpy_dtype, backwards=True)
        self.earlier = np.tri(max(depths), k=-1, dtype=numpy_dtype)
        """(k, k), 1 where the column's layer comes before the row's."""

    @torch.no_grad()
    def forward(self, z: Tensor, layers: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mapped points (c, n, 2), and log |det| of the maps (c, n) in nats."""
        self.raw, self.w, b = layers.split(PART_SIZES, dim=2)
        self.z, self.u, w = z.numpy(), invertible(self.raw, self.w).numpy(), self.w.numpy()
        recurrence, self.products = self.forwards, w @ self.u.transpose(0, 2, 1)
        recurrence.set_weights(self.products)
        np.matmul(w, self.z.transpose(0, 2, 1), out=recurrence.rows)
        recurrence.rows += b.numpy()
        for weights, entering, row, term in recurrence.steps:
            np.matmul(weights, entering, out=term)
            np.tanh(term, out=row)
        h = recurrence.rows
        self.slopes = 1 - h * h
        self.determinants = 1 + self.slopes * np.einsum("ckk->ck", self.products)[..., None]
        end = self.z + h.transpose(0, 2, 1) @ self.u
        return torch.from_numpy(end), torch.from_numpy(np.log(self.determinants).sum(1))

    @torch.no_grad()
    def backward(self, of_end: Tensor, of_log_det: Tensor) -> Tensor:
        """Return the gradient (c, k, 5) of the layers of the last `forward`, from the gradients of its two results."""
        z, u, w, h, inner = self.z, self.u, self.w.numpy(), self.forwards.rows, np.einsum("ckk->ck", self.products)
        of_end, of_determinants = of_end.numpy(), of_log_det.numpy()[:, None] / self.determinants
        of_inner = np.einsum("ckn,ckn->ck", of_determinants, self.slopes)[..., None]
        recurrence = self.backwards
        recurrence.set_weights(self.products.transpose(0, 2, 1))
        np.matmul(u, of_end.transpose(0, 2, 1), out=recurrence.rows)
        of_determinants *= h
        of_determinants *= 2 * inner[..., None]
        recurrence.rows -= of_determinants
        for place, (weights, entering, row, term) in zip(recurrence.places, recurrence.steps, strict=True):
            np.matmul(weights, entering, out=term)
            np.multiply(term, self.slopes[place], out=row)
        g = recurrence.rows
        couplings = (g @ h.transpose(0, 2, 1)) * self.earlier
        of_u = torch.from_numpy(h @ of_end + couplings.transpose(0, 2, 1) @ w + of_inner * w)
        of_w = torch.from_numpy(g @ z + couplings @ u + of_inner * u)
        of_b = torch.from_numpy(g.sum(2, keepdims=True))
        of_raw, more_of_w = gradient_through_invertible(self.raw, self.w, of_u)
        return torch.cat([of_raw, of_w + more_of_w, of_b], dim=2)


class _Recurrence:
    """Rows of c sequences, each computed from the rows on one side of it, with buffers and views allocated once.

    A row starts as its own term, and enters its own sum with weight 1.
    """

    def __init__(self, depths: Sequence[int], points: int, dtype: np.dtype, *, backwards: bool) -> None:
        flows, deepest = len(depths), max(depths)
        self.rows = np.zeros((flows, deepest, points), dtype)
        self.weights = np.zeros((flows, deepest, deepest), dtype)
        """The weight of each row (last dimension) in the sum of each row (second dimension)."""
        self.places = []
        """For each step, the index of its row: the flows that are deep enough, and the layer."""
        self.steps = []
        """For each step, over these flows: weights, the rows that they multiply, the step's row, and its buffer."""
        for row in reversed(range(deepest)) if backwards else range(deepest):
            deep_enough = slice(sum(depth <= row for depth in depths), None)
            place = deep_enough, slice(row, row + 1)
            entering = slice(row, None) if backwards else slice(row + 1)
            own, weights = self.rows[place], self.weights[*place, entering]
            self.places.append(place)
            self.steps.append((weights, self.rows[deep_enough, entering], own, np.empty_like(own)))

    def set_weights(self, weights: np.ndarray) -> None:
        """Set the rows' weights (c, k, k); those on the diagonal become 1."""
        self.weights[:] = weights
        np.einsum("ckk->ck", self.weights)[:] = 1

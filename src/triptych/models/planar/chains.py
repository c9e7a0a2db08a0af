"""Planar flows in the plane, many side by side, for training at a speed that single flows do not reach.

c flows, each of its own depth, act on n points of their own, z (c, n, 2). Their r layers, all together, are the rows of
u and w (r, 2) and b (r, 1): the first layers of all flows, then the second ones, and so on, as a `Layout` says.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx


class Layout:
    """Which row is which layer of which flow. Flows stand in the order of their depths, the shallowest first."""

    def __init__(self, depths: Sequence[int]) -> None:
        self.first = [sum(depth <= layer for depth in depths) for layer in range(depths[-1])]
        """Of each layer, the first flow that has it: all later ones have it too."""
        ends = np.cumsum([0, *(len(depths) - first for first in self.first)]).tolist()
        self.rows = [slice(*pair) for pair in pairwise(ends)]
        """Of each layer, its rows."""
        self.flow = torch.cat([torch.arange(first, len(depths)) for first in self.first])
        """Of each row, its flow."""
        self.members = torch.arange(len(depths))[:, None] == self.flow
        """(c, r), whether a row belongs to a flow."""
        self.earlier = (self.flow[:, None] == self.flow).tril(-1)
        """(r, r), whether the column's layer comes before the row's, in the same flow."""

    def of_flow(self, flow: int) -> Tensor:
        """The rows of a flow, in the order of its layers."""
        return self.members[flow].nonzero().squeeze(1)


class _Chains(torch.autograd.Function):
    """`planar_chains`, with a backward pass of its own.

    Layers must run in turn, and at this size every call costs more than its arithmetic: so they run in numpy, whose
    calls cost less than PyTorch's. The backward pass walks them once, carrying the gradient p of the point, and takes
    all weights' gradients afterwards from products of whole chains. h, (r, n), is tanh(w'z + b) of each layer at the
    points that it meets.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, layers: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
        u, w, b = layers.split([2, 2, 1], dim=1)
        end = z.permute(2, 0, 1).contiguous().numpy().copy()
        (u1, u2), (w1, w2), shift = u.numpy().T[..., None], w.numpy().T[..., None], b.numpy()
        activations, terms = np.empty((len(shift), z.shape[1]), end.dtype), np.empty_like(end[0])
        for rows, first in zip(layout.rows, layout.first, strict=True):
            h, term, x, y = activations[rows], terms[first:], end[0, first:], end[1, first:]
            np.multiply(w1[rows], x, out=h)
            h += np.multiply(w2[rows], y, out=term)
            h += shift[rows]
            np.tanh(h, out=h)
            x += np.multiply(u1[rows], h, out=term)
            y += np.multiply(u2[rows], h, out=term)
        h = torch.from_numpy(activations)
        slopes = 1 - h.square()
        excess = slopes * (w * u).sum(1, keepdim=True)  # of each layer's determinant over 1
        ctx.save_for_backward(z, u, w, h, slopes, excess)
        ctx.layout = layout
        return torch.from_numpy(end).permute(1, 2, 0), layout.members.to(z.dtype) @ excess.log1p()

    @staticmethod
    def backward(ctx: FunctionCtx, of_end: Tensor, of_log_det: Tensor) -> tuple[None, Tensor, None]:
        z, u, w, h, slopes, excess = ctx.saved_tensors
        layout = ctx.layout
        of_excess = of_log_det[layout.flow].div_(1 + excess)
        of_inner = (of_excess * slopes).sum(1, keepdim=True)
        of_h = of_excess.mul_(h).mul_(-2 * (w * u).sum(1, keepdim=True)).numpy()
        of_sum, slope = np.empty_like(of_h), slopes.numpy()  # of_sum: the gradient of w'z + b
        p = of_end.permute(2, 0, 1).contiguous().numpy().copy()
        terms = np.empty_like(p[0])
        (u1, u2), (w1, w2) = u.numpy().T[..., None], w.numpy().T[..., None]
        for rows, first in zip(reversed(layout.rows), reversed(layout.first), strict=True):
            own, term, p1, p2 = of_sum[rows], terms[first:], p[0, first:], p[1, first:]
            np.multiply(u1[rows], p1, out=own)
            own += np.multiply(u2[rows], p2, out=term)
            own += of_h[rows]
            own *= slope[rows]
            p1 += np.multiply(w1[rows], own, out=term)
            p2 += np.multiply(w2[rows], own, out=term)
        own = torch.from_numpy(of_sum)
        met = (own @ h.T).mul_(layout.earlier)  # a layer meets z plus u h of the layers before it
        of_u = met.T @ w + _own_products(h, of_end, layout) + of_inner * w
        of_w = _own_products(own, z, layout) + met @ u + of_inner * u
        return None, torch.cat([of_u, of_w, own.sum(1, keepdim=True)], dim=1), None


def _own_products(rows: Tensor, points: Tensor, layout: Layout) -> Tensor:
    """Each row (r, n) times the points (c, n, 2) of its flow: (r, 2)."""
    products = rows @ points.permute(1, 0, 2).flatten(1)
    return products.view(len(rows), len(points), 2)[torch.arange(len(rows)), layout.flow]


def planar_chains(z: Tensor, u: Tensor, w: Tensor, b: Tensor, layout: Layout) -> tuple[Tensor, Tensor]:
    """Where the flows send their points (c, n, 2), and log |det| of that way (c, n) in nats: `planar_flow`, c times.

    Gradients flow to u, w and b, not to z. Every layer must be invertible, w'u > -1.
    """
    return _Chains.apply(z, torch.cat([u, w, b], dim=1), layout)

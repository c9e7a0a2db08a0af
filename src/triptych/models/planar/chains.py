"""Planar flows in the plane, many side by side, for training at a speed that single flows do not reach.

c flows of k layers each act on n points of their own: z (c, n, 2), u and w (c, k, 2), b (c, k, 1). A shorter flow is
filled up with layers whose u is zero, which are the identity and receive no gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor
    from torch.autograd.function import FunctionCtx


def _by_layer(parameter: Tensor) -> list[tuple[Tensor, ...]]:
    """(c, k, m) as m lists of k columns (c, 1)."""
    return [part.t().unsqueeze(-1).unbind(0) for part in parameter.unbind(-1)]


class _Activations(torch.autograd.Function):
    """h = tanh(w'z + b) of every layer at the point z that it meets, (k, c, n).

    Layers must run in turn, and at this size PyTorch's own differentiation costs more than the arithmetic. So the
    backward pass walks the layers once, carrying the gradient p of the point, and takes all weights' gradients
    afterwards from products of whole chains.
    """

    @staticmethod
    def forward(ctx: FunctionCtx, z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
        x, y = z.unbind(-1)
        activations = z.new_empty(w.shape[1], *x.shape)
        for u1, u2, w1, w2, shift, h in zip(*_by_layer(u), *_by_layer(w), *_by_layer(b), activations, strict=True):
            torch.addcmul(shift, w1, x, out=h).addcmul_(w2, y).tanh_()
            x, y = torch.addcmul(x, u1, h), torch.addcmul(y, u2, h)
        ctx.save_for_backward(z, u, w, activations)
        return activations

    @staticmethod
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[None, Tensor, Tensor, Tensor]:
        z, u, w, activations = ctx.saved_tensors
        slopes = 1 - activations.square()
        inner = gradient * slopes  # becomes the gradient of w'z + b
        p1 = p2 = torch.zeros_like(inner[0])
        layers = zip(*_by_layer(u), *_by_layer(w), inner, slopes, strict=True)
        for u1, u2, w1, w2, own, slope in reversed(list(layers)):
            own.addcmul_(torch.addcmul(u1 * p1, u2, p2), slope)
            p1, p2 = torch.addcmul(p1, w1, own), torch.addcmul(p2, w2, own)
        inner, h = inner.transpose(0, 1), activations.transpose(0, 1)
        earlier = (inner @ h.mT).tril(-1)  # layer l met z plus u h of the layers before it
        return None, earlier.mT @ w, inner @ z + earlier @ u, inner.sum(2, keepdim=True)


def planar_chains(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Where the flows send their points (c, n, 2), and log |det| of that way (c, n) in nats: `planar_flow`, c times.

    Gradients flow to u, w and b, not to z. Every layer must be invertible, w'u > -1.
    """
    h = _Activations.apply(z, u, w, b)
    inner = (w * u).sum(-1).t().unsqueeze(-1)
    return z + h.permute(1, 2, 0) @ u, ((1 - h.square()) * inner).log1p().sum(0)

"""The planar transformation, shared by flows and by the posterior of a VAE (Rezende and Mohamed 2015, section 4.1).

z (n, ..., d) are points; u and w (d,) and b (1,) are one layer for all of them, or have leading dimensions that
broadcast against z's: one layer a point, as an encoder gives it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

if TYPE_CHECKING:
    from torch import Tensor

IDENTITY = math.log(math.e - 1)  # softplus of this is 1
MARGIN = 1e-3  # the least determinant of a layer, up to rounding


def _inner(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(-1, keepdim=True)


def _log_abs_det(h: Tensor, inner: Tensor) -> Tensor:
    return (1 + (1 - h.square()) * inner).abs().log()


def planar_transformation(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """z + u h with h = tanh(w'z + b), of the shape of z (equation 10). Invertible where w'u >= -1: see `invertible`."""
    return z + u * (_inner(w, z) + b).tanh()


def get_logdet(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """log |det| of the transformation's Jacobian at z, shape (n, ...), in nats: log |1 + (1 - h^2) w'u|.

    By the matrix determinant lemma (equation 12), so the cost is linear in d.
    """
    return _log_abs_det((_inner(w, z) + b).tanh(), _inner(w, u)).squeeze(-1)


def planar_flow(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """k layers one after another: the last z, and the sum of their log determinants (n, ...) in nats (equation 13).

    The layers are along the first dimension of u, w (k, ..., d) and b (k, ..., 1).
    """
    inner, activations = _inner(w, u), []
    for layer_u, layer_w, layer_b in zip(u, w, b, strict=True):
        h = (_inner(layer_w, z) + layer_b).tanh()
        z = z + layer_u * h
        activations.append(h)
    missing = z.dim() + 1 - inner.dim()
    inner = inner.view(len(inner), *[1] * missing, *inner.shape[1:])
    return z, _log_abs_det(torch.stack(activations), inner).sum(0).squeeze(-1)


def invertible(u: Tensor, w: Tensor) -> Tensor:
    """u with its part along w changed so that w'u > -1: the layer is then invertible everywhere (appendix A.1).

    w'u becomes (1 - margin) (softplus(w'u + log(e - 1)) - 1). The paper has neither constant: log(e - 1) lets u = 0
    stay 0, so that a layer can start as the identity and a small w does not make u large; the margin keeps the
    determinant away from 0, which softplus may round to.
    """
    inner = _inner(w, u)
    wanted = (1 - MARGIN) * (softplus(inner + IDENTITY) - 1)
    return u + (wanted - inner) * w / _inner(w, w).clamp(min=torch.finfo(w.dtype).tiny)

"""The planar transformation, shared by flows and by the posterior of a VAE (Rezende and Mohamed 2015, section 4.1).

z (n, ..., d) are points; u and w (d,) and b (1,) are one layer for all of them, or have leading dimensions that
broadcast against z's: one layer a point, as an encoder gives it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch
from torch.nn.functional import softplus

from triptych.objectives.likelihoods import LOG_2_PI

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


def gradient_through_invertible(u: Tensor, w: Tensor, of_changed: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of u and w, from that of `invertible(u, w)`, where w is not 0: what autograd finds, in fewer steps.

    With i = w'u and f(i) the wanted product, `invertible` is u + w (f(i) - i) / w'w, and f'(i) is a sigmoid.
    """
    inner, square = _inner(w, u), _inner(w, w).clamp(min=torch.finfo(w.dtype).tiny)
    share = ((1 - MARGIN) * (softplus(inner + IDENTITY) - 1) - inner) / square
    along = _inner(w, of_changed) / square
    of_inner = along * ((1 - MARGIN) * (inner + IDENTITY).sigmoid() - 1)
    return of_changed + of_inner * w, share * of_changed + of_inner * u - 2 * share * along * w


def _log_base(z: Tensor) -> Tensor:
    return z.square().sum(-1) / -2 - z.shape[-1] * LOG_2_PI / 2


def loss1(x: Tensor, logdet: Tensor) -> Tensor:
    """Mean negative log-likelihood in nats of samples that a flow has sent from data to base (equation 5).

    x (..., n, d) are the points in the base space that the samples came to, logdet (..., n) is log |det| of that way,
    base point by sample; the mean is over n, one value (...) for each leading index.
    """
    return -(_log_base(x) + logdet).mean(-1)


def loss2(energy: Tensor, z0: Tensor, logdet: Tensor) -> Tensor:
    """KL(q || p) - log Z in nats of a flow that sends base points to draws of q; p = exp(-energy) / Z (equation 15).

    z0 (..., n, d) are draws of the base, energy (..., n) is the target's at the points they were sent to, logdet
    (..., n) is log |det| of that way, from base to data: log q = log N(z0; 0, I) - logdet. The mean of log q + energy
    is over n, one value (...) for each leading index; adding log Z gives the KL divergence.
    """
    return (_log_base(z0) - logdet + energy).mean(-1)

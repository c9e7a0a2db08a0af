"""The planar transformation and the losses of planar flows (Rezende and Mohamed 2015, section 4.1).

z (n, ..., d) are points. One layer has u and w (d,) and b (1,). u, w and b may have leading dimensions that broadcast
against those of z: one layer per point, as the encoder of a VAE gives it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from triptych.objectives.likelihoods import LOG_2_PI

IDENTITY = math.log(math.e - 1)  # softplus of this value is 1
MARGIN = 1e-3  # smallest determinant of an invertible layer, up to rounding


def planar_transformation(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return z + u h with h = tanh(w'z + b), of the shape of z (equation 10).

    The transformation is invertible if w'u >= -1: see `invertible`.

    >>> u, w = torch.tensor([[0.5, -1.0], [2.0, 1.0]])
    >>> planar_transformation(torch.tensor([[1.0, 2.0]]), u, w, b=torch.tensor([-3.0]))
    tensor([[1.3808, 1.2384]])
    """
    return z + u * (_inner(w, z) + b).tanh()


def get_logdet(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return log |det| of the transformation's Jacobian at z, (n, ...), in nats: log |1 + (1 - h^2) w'u|.

    The matrix determinant lemma makes its cost linear in d (equation 12).

    >>> u = w = torch.tensor([1.0, 0.0])
    >>> get_logdet(torch.zeros(1, 2), u, w, b=torch.zeros(1))  # log 2
    tensor([0.6931])
    """
    return _log_abs_det((_inner(w, z) + b).tanh(), _inner(w, u)).squeeze(-1)


def planar_flow(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return z after k layers, and the sum of their log determinants (n, ...) in nats (equation 13).

    The layers are along the first dimension of u and w (k, ..., d) and b (k, ..., 1).

    >>> u = w = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    >>> planar_flow(torch.zeros(1, 2), u, w, b=torch.zeros(3, 1))  # log det is 3 log 2
    (tensor([[0., 0.]]), tensor([2.0794]))
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
    """Return u, of the same shape, changed along w so that w'u > -1: the layer is then invertible (appendix A.1).

    w'u becomes (1 - MARGIN) (softplus(w'u + log(e - 1)) - 1). The paper has neither constant. log(e - 1) maps u = 0 to
    0, so that a layer can start as the identity, and a small w does not make u large. The margin keeps the determinant
    above 0, to which softplus may round.

    >>> invertible(torch.tensor([[0.0, 1.0], [-5.0, 1.0]]), torch.tensor([1.0, 0.0]))
    tensor([[ 0.0000,  1.0000],
            [-0.9875,  1.0000]])
    """
    inner = _inner(w, u)
    wanted = (1 - MARGIN) * (softplus(inner + IDENTITY) - 1)
    return u + (wanted - inner) * w / _inner(w, w).clamp(min=torch.finfo(w.dtype).tiny)


def gradient_through_invertible(u: Tensor, w: Tensor, of_changed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of u and w from the gradient `of_changed` of `invertible(u, w)`, where w is not 0.

    They equal autograd's, in fewer operations. With i = w'u and f(i) the value that w'u becomes, `invertible` is
    u + w (f(i) - i) / w'w, and f'(i) is a sigmoid.
    """
    inner, square = _inner(w, u), _inner(w, w).clamp(min=torch.finfo(w.dtype).tiny)
    share = ((1 - MARGIN) * (softplus(inner + IDENTITY) - 1) - inner) / square
    along = _inner(w, of_changed) / square
    of_inner = along * ((1 - MARGIN) * (inner + IDENTITY).sigmoid() - 1)
    return of_changed + of_inner * w, share * of_changed + of_inner * u - 2 * share * along * w


def loss1(x: Tensor, logdet: Tensor) -> Tensor:
    """Return the mean negative log-likelihood in nats per sample, for a flow from data to base (equation 5).

    x (..., n, d) are the samples mapped to the base space, logdet (..., n) is log |det| of that map. The mean is over
    n: one value (...) per leading index.

    >>> loss1(torch.zeros(5, 2), torch.ones(5))  # log(2 pi) - 1
    tensor(0.8379)
    """
    return -(_log_base(x) + logdet).mean(-1)


def loss2(energy: Tensor, z0: Tensor, logdet: Tensor) -> Tensor:
    """Return KL(q || p) - log Z in nats, for a flow from base to data with density q (equation 15).

    The target is p = exp(-energy) / Z. z0 (..., n, d) are draws of the base, logdet (..., n) is log |det| of their map
    to data, energy (..., n) is the target's energy at the mapped points. The loss is the mean over n of log q + energy
    with log q = log N(z0; 0, I) - logdet: one value (...) per leading index.

    >>> loss2(torch.zeros(5), torch.zeros(5, 2), torch.zeros(5))  # -log(2 pi)
    tensor(-1.8379)
    """
    return (_log_base(z0) - logdet + energy).mean(-1)


def _inner(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(-1, keepdim=True)


def _log_abs_det(h: Tensor, inner: Tensor) -> Tensor:
    return (1 + (1 - h.square()) * inner).abs().log()


def _log_base(z: Tensor) -> Tensor:
    return z.square().sum(-1) / -2 - z.shape[-1] * LOG_2_PI / 2

"""The planar transformation and the losses of planar flows (Rezende and Mohamed 2015, section 4.1).

z (n, ..., d) are points. One layer has u and w (d,) and b (1,). u, w and b may have leading dimensions that broadcast
against those of z: one layer per point, as the encoder of a VAE gives it. Every function raises ValueError, with the
shapes, if the shapes of its arguments do not fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from triptych.objectives.likelihoods import LOG_2_PI
from triptych.objectives.shapes import require_shapes

IDENTITY = math.log(math.e - 1)  # softplus of this value is 1
MARGIN = 1e-3  # smallest determinant of an invertible layer, up to rounding


def planar_transformation(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return z + u h with h = tanh(w'z + b), of the shape of z (equation 10).

    The transformation is invertible if w'u >= -1: see `invertible`.

    >>> u, w = torch.tensor([[0.5, -1.0], [2.0, 1.0]])
    >>> planar_transformation(torch.tensor([[1.0, 2.0]]), u, w, b=torch.tensor([-3.0]))
    tensor([[1.3808, 1.2384]])
    """
    _require_layer(z, u, w, b)
    return z + u * (_inner(w, z) + b).tanh()


def get_logdet(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> Tensor:
    """Return log |det| of the transformation's Jacobian at z, (n, ...), in nats: log |1 + (1 - h^2) w'u|.

    The matrix determinant lemma makes its cost linear in d (equation 12).

    >>> u = w = torch.tensor([1.0, 0.0])
    >>> get_logdet(torch.zeros(1, 2), u, w, b=torch.zeros(1))  # log 2
    tensor([0.6931])
    """
    _require_layer(z, u, w, b)
    return _log_abs_det((_inner(w, z) + b).tanh(), _inner(w, u)).squeeze(-1)


def planar_flow(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return z after k layers, and the sum of their log determinants (n, ...) in nats (equation 13).

    The layers are along the first dimension of u and w (k, ..., d) and b (k, ..., 1).

    >>> u = w = torch.tensor([[1.0, 0.0]]).repeat(3, 1)
    >>> planar_flow(torch.zeros(1, 2), u, w, b=torch.zeros(3, 1))  # log det is 3 log 2
    (tensor([[0., 0.]]), tensor([2.0794]))
    """
    fits = u.shape == w.shape and b.shape == (*u.shape[:-1], 1) and u.shape[-1:] == z.shape[-1:]
    fits = fits and _broadcasts(u.shape[1:], z.shape)
    require_shapes(fits, "z (n, ..., d), u and w (k, ..., d) and b (k, ..., 1)", z=z, u=u, w=w, b=b)
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
    fits = w.shape[-1:] == u.shape[-1:] and _broadcasts(w.shape, u.shape)
    require_shapes(fits, "u (..., d) and w (d,), or equal shapes", u=u, w=w)
    inner = _inner(w, u)
    wanted = (1 - MARGIN) * (softplus(inner + IDENTITY) - 1)
    return u + (wanted - inner) * w / _inner(w, w).clamp(min=torch.finfo(w.dtype).tiny)


def gradient_through_invertible(u: Tensor, w: Tensor, of_changed: Tensor) -> tuple[Tensor, Tensor]:
    """Return the gradients of u and w from the gradient `of_changed` of `invertible(u, w)`, where w is not 0.

    They equal autograd's, in fewer operations. With i = w'u and f(i) the value that w'u becomes, `invertible` is
    u + w (f(i) - i) / w'w, and f'(i) is a sigmoid.
    """
    fits = u.shape == w.shape == of_changed.shape
    require_shapes(fits, "equal shapes", u=u, w=w, of_changed=of_changed)
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
    require_shapes(logdet.shape == x.shape[:-1], "x (..., n, d) and logdet (..., n)", x=x, logdet=logdet)
    return -(_log_base(x) + logdet).mean(-1)


def loss2(energy: Tensor, z0: Tensor, logdet: Tensor) -> Tensor:
    """Return KL(q || p) - log Z in nats, for a flow from base to data with density q (equation 15).

    The target is p = exp(-energy) / Z. z0 (..., n, d) are draws of the base, logdet (..., n) is log |det| of their map
    to data, energy (..., n) is the target's energy at the mapped points. The loss is the mean over n of log q + energy
    with log q = log N(z0; 0, I) - logdet: one value (...) per leading index.

    >>> loss2(torch.zeros(5), torch.zeros(5, 2), torch.zeros(5))  # -log(2 pi)
    tensor(-1.8379)
    """
    fits = energy.shape == logdet.shape == z0.shape[:-1]
    wanted = "z0 (..., n, d), energy and logdet (..., n)"
    require_shapes(fits, wanted, energy=energy, z0=z0, logdet=logdet)
    return (_log_base(z0) - logdet + energy).mean(-1)


def _require_layer(z: Tensor, u: Tensor, w: Tensor, b: Tensor) -> None:
    fits = u.shape[-1:] == w.shape[-1:] == z.shape[-1:] and b.shape[-1:] == (1,)
    fits = fits and all(_broadcasts(part.shape, z.shape) for part in (u, w, b))
    require_shapes(fits, "z (n, ..., d), u and w (d,) and b (1,), or one layer per point", z=z, u=u, w=w, b=b)


def _broadcasts(small: Sequence[int], large: Sequence[int]) -> bool:
    """Return whether a tensor of the one shape broadcasts to the other shape."""
    pairs = zip(reversed(small), reversed(large), strict=False)
    return len(small) <= len(large) and all(size in (1, other) for size, other in pairs)


def _inner(left: Tensor, right: Tensor) -> Tensor:
    return (left * right).sum(-1, keepdim=True)


def _log_abs_det(h: Tensor, inner: Tensor) -> Tensor:
    return (1 + (1 - h.square()) * inner).abs().log()


def _log_base(z: Tensor) -> Tensor:
    return z.square().sum(-1) / -2 - z.shape[-1] * LOG_2_PI / 2

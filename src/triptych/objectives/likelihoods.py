"""Log-likelihoods and divergences: batch first, any trailing shape, one value an example, in nats."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

LOG_2_PI = math.log(2 * math.pi)
LINEAR = 40  # beyond it softplus is its argument, to float64's last digit


def _sum_trailing(values: Tensor, leading: int = 1) -> Tensor:
    """(n, ...) to (n,); of several leading dimensions, all stay."""
    return values.unsqueeze(leading).flatten(leading).sum(leading)


def log_likelihood_bernoulli(mu: Tensor, target: Tensor) -> Tensor:
    """log p(target) of independent Bernoulli variables with means `mu` in [0, 1], both (n, ...); returns (n,).

    Means are kept one machine epsilon away from 0 and 1, as PyTorch's own Bernoulli distribution does: a certain pixel
    that is right costs nothing, and one that is wrong costs 36 nats in float64 and 16 in float32, not infinity.
    """
    epsilon = torch.finfo(mu.dtype).eps
    mu = mu.clamp(epsilon, 1 - epsilon)
    return _sum_trailing(target * mu.log() + (1 - target) * (-mu).log1p())


def log_likelihood_bernoulli_logits(logits: Tensor, target: Tensor, leading: int = 1) -> Tensor:
    """The same from the logits of the means, (n, ...), which is what training uses: exact and finite at any logit.

    With two `leading` dimensions it returns (n, k), for k sets of logits a target: the target is then (n, 1, ...).
    """
    return _sum_trailing(target * logits - softplus(logits, threshold=LINEAR), leading)


def log_likelihood_normal(mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """log N(z; mu, diag exp(logvar)), all (n, ...); returns (n,)."""
    return _sum_trailing(_log_normal(mu, logvar, z))


def _log_normal(mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    return -(((z - mu) * (-logvar / 2).exp()).square() + logvar + LOG_2_PI) / 2


def log_likelihood_standard_normal(z: Tensor, leading: int = 1) -> Tensor:
    """log N(z; 0, I) of z (n, ...); returns (n,), or (n, k) of z (n, k, ...) with two `leading` dimensions."""
    return -_sum_trailing(z.square() + LOG_2_PI, leading) / 2


def log_mean_exp(y: Tensor) -> Tensor:
    """log (1/K sum_k exp y_k) over the K values in each row of y (n, K), at any size of y; returns (n,)."""
    y = y.unsqueeze(1).flatten(1)
    return y.logsumexp(1) - math.log(y.shape[1])


def kl_gaussian_gaussian_analytic(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> Tensor:
    """KL(N(mu_q, diag exp(logvar_q)) || N(mu_p, diag exp(logvar_p))), all (n, ...); returns (n,).

    (tr(P^-1 Q) + (mu_p - mu_q)' P^-1 (mu_p - mu_q) - d - log det Q + log det P) / 2 for covariances Q and P.
    """
    difference = logvar_q - logvar_p
    distance = ((mu_q - mu_p) * (-logvar_p / 2).exp()).square()
    return _sum_trailing(difference.expm1() - difference + distance) / 2


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """The same to N(0, I), returns (n,) (Kingma and Welling 2014, appendix B)."""
    return _sum_trailing(logvar.expm1() - logvar + mu.square()) / 2


def kl_gaussian_gaussian_mc(
    mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor, num_samples: int = 1
) -> Tensor:
    """An unbiased estimate of the same: the mean of log q(z) - log p(z) over `num_samples` draws of z ~ q; (n,).

    The draws come from torch's global generator, and gradients flow through them. Raises ValueError without a draw.
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}, but an estimate needs at least one")
    mu_q, logvar_q, mu_p, logvar_p = (part.unsqueeze(1) for part in (mu_q, logvar_q, mu_p, logvar_p))
    shape = mu_q.shape[0], num_samples, *mu_q.shape[2:]
    z = mu_q + (logvar_q / 2).exp() * torch.randn(shape, dtype=mu_q.dtype, device=mu_q.device)
    return _sum_trailing(_log_normal(mu_q, logvar_q, z) - _log_normal(mu_p, logvar_p, z)) / num_samples

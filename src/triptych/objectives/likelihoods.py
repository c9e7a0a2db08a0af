"""Log-likelihoods and KL divergences: batch first, any trailing shape, one value per example, in nats.

Every function raises ValueError, with the shapes, if the shapes of its arguments do not fit.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import softplus

from triptych.objectives.shapes import require_shapes

LOG_2_PI = math.log(2 * math.pi)
LINEAR = 40  # softplus(x) is x above this value, to the last digit of float64


def log_likelihood_bernoulli(mu: Tensor, target: Tensor) -> Tensor:
    """Return log p(target), (n,), of independent Bernoulli variables with means `mu` in [0, 1], both (n, ...).

    Means are clamped to one machine epsilon from 0 and 1, as in PyTorch's Bernoulli distribution. So a pixel with a
    certain and wrong mean costs 36 nats in float64 and 16 in float32, not infinity. Means outside [0, 1] are clamped
    without an error. For logits use `log_likelihood_bernoulli_logits`.

    >>> log_likelihood_bernoulli(torch.tensor([[0.5, 0.25]]), torch.tensor([[1.0, 0.0]]))  # log 0.5 + log 0.75
    tensor([-0.9808])
    """
    require_shapes(mu.shape == target.shape, "equal shapes", mu=mu, target=target)
    epsilon = torch.finfo(mu.dtype).eps
    mu = mu.clamp(epsilon, 1 - epsilon)
    return _sum_trailing(target * mu.log() + (1 - target) * (-mu).log1p())


def log_likelihood_bernoulli_logits(logits: Tensor, target: Tensor, leading: int = 1) -> Tensor:
    """Return log p(target), (n,), from the logits of the means, (n, ...): exact and finite at any logit.

    With `leading=2` the logits are (n, k, ...), k sets per target (n, 1, ...), and the result is (n, k).

    >>> log_likelihood_bernoulli_logits(torch.tensor([[0.0, -1e4]]), torch.tensor([[1.0, 0.0]]))
    tensor([-0.6931])
    """
    fitting = (*logits.shape[:1], *[1] * (leading - 1), *logits.shape[leading:])
    require_shapes(target.shape == fitting, f"a target of shape {fitting}", logits=logits, target=target)
    return _sum_trailing(target * logits - softplus(logits, threshold=LINEAR), leading)


def log_likelihood_normal(mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    """Return log N(z; mu, diag exp(logvar)), (n,), from tensors (n, ...).

    >>> log_likelihood_normal(torch.zeros(1, 1), torch.zeros(1, 1), torch.ones(1, 1))  # -(1 + log(2 pi)) / 2
    tensor([-1.4189])
    """
    require_shapes(mu.shape == logvar.shape == z.shape, "equal shapes", mu=mu, logvar=logvar, z=z)
    return _sum_trailing(_log_normal(mu, logvar, z))


def log_likelihood_standard_normal(z: Tensor, leading: int = 1) -> Tensor:
    """Return log N(z; 0, I), (n,), of z (n, ...). With `leading=2`, return (n, k) of z (n, k, ...).

    >>> log_likelihood_standard_normal(torch.ones(1, 1))
    tensor([-1.4189])
    """
    return -_sum_trailing(z.square() + LOG_2_PI, leading) / 2


def log_mean_exp(y: Tensor) -> Tensor:
    """Return log (1/K sum_k exp y_k), (n,), over the K values in each row of y (n, K), without overflow.

    >>> log_mean_exp(torch.tensor([[1000.0, 1000.0]]))
    tensor([1000.])
    """
    require_shapes(y.dim() == 2, "y (n, K)", y=y)
    return y.logsumexp(1) - math.log(y.shape[1])


def kl_gaussian_gaussian_analytic(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> Tensor:
    """Return KL(N(mu_q, diag exp(logvar_q)) || N(mu_p, diag exp(logvar_p))), (n,), from tensors (n, ...).

    It is (tr(P^-1 Q) + (mu_p - mu_q)' P^-1 (mu_p - mu_q) - d - log det Q + log det P) / 2 for covariances Q and P.

    >>> kl_gaussian_gaussian_analytic(*torch.tensor([[[2.0]], [[0.0]], [[0.0]], [[0.0]]]))  # 2^2 / 2
    tensor([2.])
    """
    _require_two_gaussians(mu_q, logvar_q, mu_p, logvar_p)
    difference = logvar_q - logvar_p
    distance = ((mu_q - mu_p) * (-logvar_p / 2).exp()).square()
    return _sum_trailing(difference.expm1() - difference + distance) / 2


def kl_to_standard_normal(mu: Tensor, logvar: Tensor) -> Tensor:
    """Return KL(N(mu, diag exp(logvar)) || N(0, I)), (n,), from tensors (n, ...).

    Source: Kingma and Welling 2014, appendix B.

    >>> kl_to_standard_normal(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))  # 2^2 / 2
    tensor([2.])
    """
    require_shapes(mu.shape == logvar.shape, "equal shapes", mu=mu, logvar=logvar)
    return _sum_trailing(logvar.expm1() - logvar + mu.square()) / 2


def kl_gaussian_gaussian_mc(
    mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor, num_samples: int = 1
) -> Tensor:
    """Return an unbiased estimate, (n,), of `kl_gaussian_gaussian_analytic` from the same tensors.

    It is the mean of log q(z) - log p(z) over `num_samples` draws z ~ q from torch's global generator. Gradients pass
    through the draws. Raises ValueError if `num_samples` is below 1.

    >>> kl_gaussian_gaussian_mc(*torch.zeros(4, 1, 3), num_samples=5)  # q = p
    tensor([0.])
    """
    if num_samples < 1:
        raise ValueError(f"num_samples is {num_samples}; use 1 or more")
    _require_two_gaussians(mu_q, logvar_q, mu_p, logvar_p)
    mu_q, logvar_q, mu_p, logvar_p = (part.unsqueeze(1) for part in (mu_q, logvar_q, mu_p, logvar_p))
    shape = mu_q.shape[0], num_samples, *mu_q.shape[2:]
    z = mu_q + (logvar_q / 2).exp() * torch.randn(shape, dtype=mu_q.dtype, device=mu_q.device)
    return _sum_trailing(_log_normal(mu_q, logvar_q, z) - _log_normal(mu_p, logvar_p, z)) / num_samples


def _require_two_gaussians(mu_q: Tensor, logvar_q: Tensor, mu_p: Tensor, logvar_p: Tensor) -> None:
    parts = {"mu_q": mu_q, "logvar_q": logvar_q, "mu_p": mu_p, "logvar_p": logvar_p}
    require_shapes(len({part.shape for part in parts.values()}) == 1, "equal shapes", **parts)


def _log_normal(mu: Tensor, logvar: Tensor, z: Tensor) -> Tensor:
    return -(((z - mu) * (-logvar / 2).exp()).square() + logvar + LOG_2_PI) / 2


def _sum_trailing(values: Tensor, leading: int = 1) -> Tensor:
    """Sum over all but the leading dimensions: (n, ...) to (n,)."""
    return values.unsqueeze(leading).flatten(leading).sum(leading)


def standard_error(values: Tensor) -> float:
    """Return the standard error of the mean of values (n,).

    >>> import torch
    >>> round(standard_error(torch.tensor([1.0, 3.0])), 4)
    1.0
    """
    return float(values.std() / len(values) ** 0.5)

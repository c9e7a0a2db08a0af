"""Log-likelihoods and divergences: batch first, any trailing shape, one value an example, in nats."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits


def log_likelihood_bernoulli_logits(logits: Tensor, target: Tensor) -> Tensor:
    """log p(x) of independent Bernoulli variables, shape (n,), from the logits of their means; finite at any logit."""
    return -binary_cross_entropy_with_logits(logits, target, reduction="none").flatten(1).sum(1)


def log_likelihood_standard_normal(z: Tensor) -> Tensor:
    """log N(z; 0, I), shape (n,)."""
    z = z.flatten(1)
    return -(z.square().sum(1) + z.shape[1] * math.log(2 * math.pi)) / 2


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL(N(mean, diag exp(log_variance)) || N(0, I)), shape (n,) (Kingma and Welling 2014, appendix B).

    (tr Sigma + mu'mu - d - log det Sigma) / 2.
    """
    return (log_variance.exp() + mean.square() - 1 - log_variance).flatten(1).sum(1) / 2

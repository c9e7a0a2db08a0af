"""The bounds that a VAE is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.objectives.likelihoods import kl_to_standard_normal, log_likelihood_bernoulli_logits, log_mean_exp

if TYPE_CHECKING:
    from torch import Tensor


def negative_elbo(images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of -ELBO, each (n,) in nats per image (Kingma and Welling 2014, equation 10, one draw).

    Reconstruction: -log p(x|z) with the z that gave `logits`. Regularisation: KL(q(z|x) || p(z)), in closed form. Both
    in float32, whatever precision the networks ran in.
    """
    reconstruction = -log_likelihood_bernoulli_logits(logits.float(), images)
    return reconstruction, kl_to_standard_normal(mean.float(), log_variance.float())


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """log 1/K sum_k p(x, z_k) / q(z_k|x), (n,) in nats, from the log weights (n, K) of draws z_k ~ q(z|x).

    A lower bound on log p(x) in expectation that tightens with K (Burda et al. 2016, equation 8); the ELBO at K = 1.
    """
    return log_mean_exp(log_weights)

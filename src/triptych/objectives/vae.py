"""The bounds on the log-likelihood of a VAE."""

from __future__ import annotations

from torch import Tensor

from triptych.objectives.likelihoods import kl_to_standard_normal, log_likelihood_bernoulli_logits, log_mean_exp
from triptych.objectives.shapes import require_shapes


def negative_elbo(images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return the two terms of the negative ELBO, each (n,) in nats per image, in float32.

    `images` and `logits` are (n, ...), `mean` and `log_variance` (n, latent). The reconstruction term is -log p(x|z)
    for the draw z ~ q(z|x) that gave the logits. The regularisation term is KL(q(z|x) || N(0, I)), in closed form
    (Kingma and Welling 2014, equation 10). Raises ValueError for other shapes.

    >>> import torch
    >>> negative_elbo(torch.ones(1, 2), torch.zeros(1, 2), mean=torch.tensor([[2.0]]), log_variance=torch.zeros(1, 1))
    (tensor([1.3863]), tensor([2.]))
    """
    require_shapes(len(images) == len(mean), "one mean per image", images=images, mean=mean)
    reconstruction = -log_likelihood_bernoulli_logits(logits.float(), images)
    return reconstruction, kl_to_standard_normal(mean.float(), log_variance.float())


def importance_weighted_bound(log_weights: Tensor) -> Tensor:
    """Return log 1/K sum_k w_k, (n,) in nats per image, from log weights (n, K).

    The weights are w_k = p(x, z_k) / q(z_k|x) for draws z_k ~ q(z|x). The expectation is a lower bound on log p(x). It
    is the ELBO for K = 1, and grows with K (Burda et al. 2016, equation 8).

    >>> import torch
    >>> importance_weighted_bound(torch.tensor([[-100.0, -100.0], [-100.0, -110.0]]))
    tensor([-100.0000, -100.6931])
    """
    return log_mean_exp(log_weights)

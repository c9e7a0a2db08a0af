"""The bound that a VAE is trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.objectives.likelihoods import kl_to_standard_normal, log_likelihood_bernoulli_logits

if TYPE_CHECKING:
    from torch import Tensor


def negative_elbo(images: Tensor, logits: Tensor, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
    """The two parts of -ELBO, each (n,) in nats per image (Kingma and Welling 2014, equation 10, one draw).

    Reconstruction: -log p(x|z) with the z that gave `logits`. Regularisation: KL(q(z|x) || p(z)), in closed form. Both
    in float32, whatever precision the networks ran in.
    """
    reconstruction = -log_likelihood_bernoulli_logits(logits.float(), images)
    return reconstruction, kl_to_standard_normal(mean.float(), log_variance.float())

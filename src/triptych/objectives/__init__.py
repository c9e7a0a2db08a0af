"""The objectives of each family, and the documents' functions under their own names.

| module | content |
| --- | --- |
| `likelihoods` | log-likelihoods and KL divergences |
| `vae` | ELBO and importance-weighted bound |
| `adversarial` | losses of GANs, gradient penalties (R1, one-centred), one alternating training step |
| `flow` | likelihood of a normalizing flow, bits per dimension |
| `planar` | planar transformation, its log determinant, losses of planar flows |
| `shapes` | the check of shapes that all of them use |

All functions take PyTorch tensors. They raise ValueError for wrong arguments.
"""

from triptych.objectives.adversarial import (
    apply_exponential_moving_average,
    discriminator_loss,
    jsd,
    make_losses,
    make_train_step,
    non_saturating,
    ogp,
    r1gp,
    w1,
)
from triptych.objectives.flow import bits_per_dimension, log_likelihood
from triptych.objectives.likelihoods import (
    kl_gaussian_gaussian_analytic,
    kl_gaussian_gaussian_mc,
    kl_to_standard_normal,
    log_likelihood_bernoulli,
    log_likelihood_bernoulli_logits,
    log_likelihood_normal,
    log_likelihood_standard_normal,
    log_mean_exp,
)
from triptych.objectives.planar import get_logdet, invertible, loss1, loss2, planar_flow, planar_transformation
from triptych.objectives.vae import importance_weighted_bound, negative_elbo

__all__ = [
    "apply_exponential_moving_average",
    "bits_per_dimension",
    "discriminator_loss",
    "get_logdet",
    "importance_weighted_bound",
    "invertible",
    "jsd",
    "kl_gaussian_gaussian_analytic",
    "kl_gaussian_gaussian_mc",
    "kl_to_standard_normal",
    "log_likelihood",
    "log_likelihood_bernoulli",
    "log_likelihood_bernoulli_logits",
    "log_likelihood_normal",
    "log_likelihood_standard_normal",
    "log_mean_exp",
    "loss1",
    "loss2",
    "make_losses",
    "make_train_step",
    "negative_elbo",
    "non_saturating",
    "ogp",
    "planar_flow",
    "planar_transformation",
    "r1gp",
    "w1",
]

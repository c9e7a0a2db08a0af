# ruff: noqa: F401 (the functions are exported for the user)
"""The objectives of each family, and the documents' functions under their own names.

| module | content |
| --- | --- |
| `likelihoods` | log-likelihoods and KL divergences |
| `vae` | ELBO and importance-weighted bound |
| `adversarial` | losses of GANs, gradient penalties (R1, one-centred), one alternating training step |
| `flow` | likelihood of a normalizing flow, bits per dimension |
| `planar` | planar transformation, its log determinant, losses of planar flows |
| `shapes` | the check of shapes that all of them use |
"""

from triptych.objectives.adversarial import (
    apply_exponential_moving_average,
    jsd,
    make_losses,
    make_train_step,
    ogp,
    r1gp,
    w1,
)
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
from triptych.objectives.planar import get_logdet, loss1, loss2, planar_transformation

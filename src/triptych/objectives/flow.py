"""The exact likelihood of a normalizing flow."""

from __future__ import annotations

import math

from torch import Tensor

from triptych.objectives.likelihoods import log_likelihood_standard_normal
from triptych.objectives.shapes import require_shapes


def log_likelihood(latents: Tensor, log_det: Tensor) -> Tensor:
    """Return log p(x) = log N(z; 0, I) + log |det dz/dx|, (n,) in nats per image.

    `latents` z are (n, d), `log_det` is (n,) (Rezende and Mohamed 2015, equation 5). Raises ValueError for other
    shapes.

    >>> import torch
    >>> log_likelihood(torch.zeros(1, 2), torch.tensor([1.0]))  # 1 - log(2 pi)
    tensor([-0.8379])
    """
    fits = log_det.shape == latents.shape[:1]
    require_shapes(fits, "latents (n, d) and log_det (n,)", latents=latents, log_det=log_det)
    return log_likelihood_standard_normal(latents) + log_det


def bits_per_dimension(negative_nats: Tensor, dimensions: int) -> Tensor:
    """Return bits per dimension from a negative log-likelihood in nats per image (Theis et al. 2016).

    >>> bits_per_dimension(784 * 8 * math.log(2), dimensions=784)
    8.0
    """
    return negative_nats / (dimensions * math.log(2))

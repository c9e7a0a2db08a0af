"""The exact likelihood of a normalizing flow."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from triptych.objectives.likelihoods import log_likelihood_standard_normal

if TYPE_CHECKING:
    from torch import Tensor


def log_likelihood(latents: Tensor, log_det: Tensor) -> Tensor:
    """log p(x) = log N(z; 0, I) + log |det dz/dx|, (n,), in nats (Rezende and Mohamed 2015, equation 5)."""
    return log_likelihood_standard_normal(latents) + log_det


def bits_per_dimension(negative_nats: Tensor, dimensions: int) -> Tensor:
    """Negative log-likelihood in nats per image to bits per dimension (Theis et al. 2016)."""
    return negative_nats / (dimensions * math.log(2))

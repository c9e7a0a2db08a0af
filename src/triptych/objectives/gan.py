"""The losses of a GAN's discriminator and generator, from the discriminator's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, label_noise: float = 0.0) -> Tensor:
    """Return -E log D(x) - E log(1 - D(G(z))), a scalar in nats (Goodfellow et al. 2014, equation 1).

    The logits are (n,) or (n, 1), both of the same shape. `label_noise` is the probability that a label is flipped,
    which keeps the discriminator from certainty. The flips are drawn from torch's global generator.

    >>> discriminator_loss(torch.zeros(8), torch.zeros(8))  # 2 log 2, for D = 1/2
    tensor(1.3863)
    """
    logits = torch.cat([real_logits, fake_logits]).float()
    labels = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)]).float()
    if label_noise:
        labels = torch.where(torch.rand_like(labels) < label_noise, 1 - labels, labels)
    return 2 * binary_cross_entropy_with_logits(logits, labels)


def generator_loss(fake_logits: Tensor) -> Tensor:
    """Return the non-saturating loss -E log D(G(z)), a scalar in nats (Goodfellow et al. 2014, section 3).

    >>> generator_loss(torch.zeros(8))  # log 2, for D = 1/2
    tensor(0.6931)
    """
    return softplus(-fake_logits.float()).mean()

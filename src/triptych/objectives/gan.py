"""What the two players of a GAN minimise, from the discriminator's logits."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, softplus


def discriminator_loss(real_logits: Tensor, fake_logits: Tensor, label_noise: float = 0.0) -> Tensor:
    """-E log D(x) - E log(1 - D(G(z))), in nats (Goodfellow et al. 2014, equation 1); 2 log 2 where D is always 1/2.

    With `label_noise`, each label is flipped with that probability, which keeps the discriminator from certainty.
    """
    logits = torch.cat([real_logits, fake_logits]).float()
    labels = torch.cat([torch.ones_like(real_logits), torch.zeros_like(fake_logits)]).float()
    if label_noise:
        labels = torch.where(torch.rand_like(labels) < label_noise, 1 - labels, labels)
    return 2 * binary_cross_entropy_with_logits(logits, labels)


def generator_loss(fake_logits: Tensor) -> Tensor:
    """-E log D(G(z)), in nats: the non-saturating loss (Goodfellow et al. 2014, section 3)."""
    return softplus(-fake_logits.float()).mean()

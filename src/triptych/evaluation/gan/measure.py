"""The numbers of a GAN: it has no likelihood, so its losses, and for a critic what its estimate tells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.evaluation.gan.over_training import over_training
from triptych.models.gan.critic_family import CriticFamily

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the generator's images"
NOT_DEFINED = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    """Both players' losses on validation and test, with a discriminator its accuracy, with a critic its estimate.

    With a critic also M2.7b to d: FID, KID and IS of every snapshot's samples, and their correlation with the estimate.
    """
    losses = {split: evaluation.family.validate(images) for split, images in evaluation.splits.items()}
    if isinstance(evaluation.family, CriticFamily):
        return {**losses, "over_training": over_training(evaluation)}
    return losses

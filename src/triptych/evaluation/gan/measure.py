"""The numbers of a GAN, which has no likelihood: losses and, with a critic, the scores of its snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.evaluation.gan.critic_progress import critic_progress
from triptych.models.gan.critic_family import CriticFamily

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the generator's images"
NOT_DEFINED = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    """Return the results of `Family.validate` on validation and test images: losses, and accuracy or estimate.

    With a critic, the result includes FID, KID and IS of every snapshot's samples, and their correlation with the
    critic's estimate (M2.7b to d).
    """
    losses = {split: evaluation.family.validate(images) for split, images in evaluation.splits.items()}
    if isinstance(evaluation.family, CriticFamily):
        return {**losses, "over_training": critic_progress(evaluation)}
    return losses

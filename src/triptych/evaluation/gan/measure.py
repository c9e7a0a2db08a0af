"""The numbers of a GAN: it has no likelihood, so its losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the generator's images"
NOT_DEFINED = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")
CURVES = ("valid_discriminator_loss", "train_discriminator_loss")


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    """Both players' losses in nats and the discriminator's accuracy, on validation and test."""
    return {split: evaluation.family.validate(images) for split, images in evaluation.splits.items()}

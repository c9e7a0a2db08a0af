"""How good a GAN is: it has no likelihood, so its losses, and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.evaluation.context import at_epoch
from triptych.evaluation.images import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids
from triptych.figures.style import save, save_grey

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the generator's images"
NOT_DEFINED = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")
CURVES = ("valid_discriminator_loss", "train_discriminator_loss")


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    """Both players' losses in nats and the discriminator's accuracy, on validation and test."""
    return {split: evaluation.family.validate(images) for split, images in evaluation.splits.items()}


def draw_pictures(evaluation: Evaluation) -> None:
    """U2.5, the losses over training; U2.6, 25 samples at three times."""
    lines = [
        Curve("train_discriminator_loss", "discriminator, training", "discriminator"),
        Curve("valid_discriminator_loss", "discriminator, validation", "discriminator", dashed=True),
        Curve("train_generator_loss", "generator, training", "generator"),
        Curve("valid_generator_loss", "generator, validation", "generator", dashed=True),
    ]
    figure = curves(evaluation.history, lines, "U2.5  Losses of the two players", "loss (nats)")
    save(figure, evaluation.folder / "U2.5-losses.png")
    panels = [(at_epoch(epoch), quantize(images, "samples").numpy()) for epoch, images in evaluation.samples().items()]
    save_grey(grids(panels, 5, "U2.6  Samples from the same latents"), evaluation.folder / "U2.6-samples.png")

"""The pictures of a GAN: its losses and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.evaluation.context import at_epoch
from triptych.evaluation.images import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids
from triptych.figures.style import save, save_grey

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation


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

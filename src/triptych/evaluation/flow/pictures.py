"""The pictures of a flow: its likelihood over training and its samples."""

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
    """U3.8, bits per dimension over training, and samples at the first, middle and last epoch."""
    lines = [
        Curve("train_bits_per_dimension", "training", "train"),
        Curve("valid_bits_per_dimension", "validation", "valid"),
    ]
    figure = curves(evaluation.history, lines, "U3.8  Likelihood of the flow", "bits per dimension")
    save(figure, evaluation.folder / "U3.8-bits-per-dimension.png")
    panels = [(at_epoch(epoch), quantize(images, "samples").numpy()) for epoch, images in evaluation.samples().items()]
    save_grey(grids(panels, 5, "U3.8  Samples from the same latents"), evaluation.folder / "U3.8-samples.png")

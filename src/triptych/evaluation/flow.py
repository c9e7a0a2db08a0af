"""How good a flow is: its exact likelihood, its inverse, curves and samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.evaluation.context import at_epoch
from triptych.evaluation.images import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids
from triptych.figures.style import save, save_grey

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the flow's images, at the 8-bit level each pixel falls into"
NOT_DEFINED = {"elbo": "the likelihood is exact"}
CURVES = ("valid_bits_per_dimension", "train_bits_per_dimension")


def measure(evaluation: Evaluation) -> dict[str, object]:
    """Bits per dimension and nats per image on validation and test, one fixed draw of dequantisation noise; U3.7."""
    numbers: dict[str, object] = {}
    for split, images in evaluation.splits.items():
        likelihood = evaluation.family.likelihood(images.continuous)
        numbers[split] = {
            "bits_per_dimension": likelihood["bits_per_dimension"],
            "log_likelihood": -likelihood["negative_log_likelihood"],
            "log_likelihood_standard_error": likelihood["negative_log_likelihood_standard_error"],
            "dequantization_draws": 1,
        }
    test = evaluation.splits["test"].continuous[:500]
    numbers["likelihood_is"] = "exact, of dequantised images, one draw of noise an image"
    numbers["inverse_error"] = {"value": evaluation.family.inverse_error(test), "images": len(test)}
    return numbers


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

"""The numbers of a flow: its exact likelihood, and how exact its inverse is."""

from __future__ import annotations

from typing import TYPE_CHECKING

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

"""The numbers of a flow: its likelihood, and how exact its inverse is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.evaluation.flow.traversal import traversals

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

SAMPLES_ARE = "the flow's images, at the 8-bit level each pixel falls into"
NOT_DEFINED = {"elbo": "a flow integrates no latent variable out"}

NOISE = {
    True: "exact for the dequantised image and in expectation a lower bound for the 8-bit one: "
    "one draw of uniform noise an image, the same for every model",
    False: "a lower bound in expectation: variational dequantisation, one draw of learned noise an image",
}


def measure(evaluation: Evaluation) -> dict[str, object]:
    """Bits per dimension and nats per image on validation and test, with the error of the inverse (U3.7, U3.8, R1).

    And how far the ends of the traversals are from their images (R3), in 8-bit levels.
    """
    numbers: dict[str, object] = {}
    for split, images in evaluation.splits.items():
        likelihood = evaluation.family.likelihood(images)
        numbers[split] = {
            "bits_per_dimension": likelihood["bits_per_dimension"],
            "log_likelihood": -likelihood["negative_log_likelihood"],
            "log_likelihood_standard_error": likelihood["negative_log_likelihood_standard_error"],
            "dequantization_draws": 1,
        }
    test = evaluation.splits["test"].continuous[:500]
    ends = traversals(evaluation)
    return {
        **numbers,
        "likelihood_is": NOISE[evaluation.family.uniform],
        "inverse_error": {"value": evaluation.family.inverse_error(test), "images": len(test)},
        "traversal_end_error": {"value": ends.end_error, "images": 2 * len(ends.points)},
    }

"""The numbers of a flow: its likelihood, and the error of its inverse."""

from triptych.evaluation.context import Evaluation
from triptych.evaluation.flow.latent_traversal import traversals
from triptych.objectives.flow import bits_per_dimension

SAMPLES_ARE = "the flow's images, with each pixel rounded down to its 8-bit level"
NOT_DEFINED = {"elbo": "a flow has one bound only, its log-likelihood"}

LIKELIHOOD_IS = {  # by whether the noise is uniform
    True: "exact for the dequantised image and in expectation a lower bound for the 8-bit image: one draw of uniform "
    "noise per image, the same for every model",
    False: "a lower bound in expectation: variational dequantisation with one draw of learned noise per image",
}


def measure(evaluation: Evaluation) -> dict[str, object]:
    """Return bits per dimension and nats per image on validation and test, and the error of the inverse.

    These are U3.7, U3.8 and R1. For R3, the largest error at the ends of the traversals is in 8-bit levels.
    """
    numbers: dict[str, object] = {}
    for split, images in evaluation.splits.items():
        likelihood = evaluation.family.validate(images)
        error = likelihood["negative_log_likelihood_standard_error"]
        numbers[split] = {
            "bits_per_dimension": likelihood["bits_per_dimension"],
            "bits_per_dimension_standard_error": bits_per_dimension(error, evaluation.family.latent),
            "log_likelihood": -likelihood["negative_log_likelihood"],
            "log_likelihood_standard_error": error,
            "dequantization_draws": 1,
        }
    test = evaluation.splits["test"].continuous[:500]
    ends = traversals(evaluation)
    return {
        **numbers,
        "likelihood_is": LIKELIHOOD_IS[evaluation.family.uniform],
        "inverse_error": {"value": evaluation.family.inverse_error(test), "images": len(test)},
        "traversal_end_error": {"value": ends.end_error, "images": 2 * len(ends.points)},
    }

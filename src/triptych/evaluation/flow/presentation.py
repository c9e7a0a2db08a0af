"""How the page presents a normalizing flow."""

from triptych.evaluation.presentation import Chart, Presentation, training_and_validation

BITS = (
    "Negative log-likelihood of the 8-bit images in bits per dimension; lower is better. A uniform model has 8 bits "
    "per dimension."
)
NATS = "The same log-likelihood in nats per image; higher is better."
SAMPLES = "Samples: 25 latents mapped through the inverse of the flow, the same latents in each panel."
CAPTIONS = {
    **{f"{name}-bits-per-dimension": BITS for name in ("U3.8", "R1")},
    **{f"{name}-log-likelihood": NATS for name in ("U3.8", "R1")},
    **{f"{name}-samples": SAMPLES for name in ("U3.8", "R1")},
    "R2-layers": "Ten latents z on their way to images x, after the inverse of each layer; the values are shown as "
    "intensities.",
    "R3-traversals": "Two test images, of different classes if labels are known, and ten points on the straight line "
    "between their latents, mapped to images. A flow is invertible, so the first and last point are the test images.",
}
BITS_CHART = Chart("bits per dimension", training_and_validation("bits_per_dimension", 1))
NATS_CHART = Chart("log-likelihood (nats per image)", training_and_validation("negative_log_likelihood", -1))
CHARTS = {
    "U3.8-bits-per-dimension": BITS_CHART,
    "U3.8-log-likelihood": NATS_CHART,
    "R1-bits-per-dimension": BITS_CHART,
    "R1-log-likelihood": NATS_CHART,
}
PRESENTATION = Presentation(captions=CAPTIONS, charts=CHARTS)

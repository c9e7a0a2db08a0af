"""How the page presents a VAE."""

from collections.abc import Iterator, Mapping
from typing import Any

from triptych.core.number_formats import DIFFERENCE, NATS
from triptych.evaluation.presentation import Chart, Metrics, Presentation, training_and_validation

CAPTIONS = {
    "U1.13-elbo": "The lower bound on the log-likelihood during training. The first point is the untrained model, with "
    "about -log 2 = -0.693 nats per pixel (-543.4 for 784 pixels) if each has probability 1/2. Training values are "
    "means over an epoch.",
    "U1.14-means": "Decoded images of 25 latents, the same latents in each panel: the means of the Bernoulli pixels.",
    "U1.14-draws": "Draws of the Bernoulli pixels for the same latents: these are samples of the model.",
    "U1.12-reconstructions": "Test images, and the decoded images of latents drawn from their posterior.",
    "U1.15-manifold": "Decoded images of latents on a grid over the latent plane.",
    "U1.15-posterior": "One posterior draw per test image. The decoder has learned images only where such draws lie. "
    "If the prior has probability elsewhere, samples from there can be poor.",
}
CHARTS = {
    "U1.13-elbo": Chart(
        "bound (nats per image)",
        training_and_validation("negative_elbo", -1)
        + training_and_validation("negative_iw_bound", -1, ", importance-weighted", dashed=True),
    ),
}


def findings(experiments: Mapping[str, Any], metrics: Mapping[str, Metrics]) -> Iterator[str]:
    """Yield a comparison of each planar posterior with the same VAE without planar layers, if there is one."""
    for name, experiment in experiments.items():
        layers = experiment.model.planar_layers
        plain = next((other for other in experiments if layers and _plain(experiment) == experiments[other]), None)
        if plain is not None:
            yield _comparison(name, plain, layers, metrics[name]["test"], metrics[plain]["test"])


def _plain(experiment: Any) -> Any:  # noqa: ANN401 (an experiment's settings)
    return experiment.model_copy(update={"model": experiment.model.model_copy(update={"planar_layers": 0})})


def _comparison(name: str, plain: str, layers: int, planar_test: Metrics, plain_test: Metrics) -> str:
    difference = DIFFERENCE.format(planar_test["log_likelihood"] - plain_test["log_likelihood"])
    with_layers, without = (
        {key: NATS.format(test[key]) for key in ("log_likelihood", "gap")} for test in (planar_test, plain_test)
    )
    return (
        f"{name} has {layers} planar layers and a log-likelihood of {with_layers['log_likelihood']} nats. {plain} "
        f"has no such layers and {without['log_likelihood']} nats. The difference is {difference} nats: "
        "only several seeds show whether other trainings have it too. The gap between log-likelihood and ELBO is "
        f"{with_layers['gap']} nats with the layers and {without['gap']} nats without them."
    )


PRESENTATION = Presentation(
    captions=CAPTIONS, charts=CHARTS, question="What does a planar posterior improve in a VAE?", findings=findings
)

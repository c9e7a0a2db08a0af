"""The pictures of a GAN: its losses, its samples, interpolations, and the critic's estimate over training."""

import torch

from triptych.evaluation.context import Evaluation, at_epoch, ends, label_texts
from triptych.evaluation.gan.presentation import CHARTS
from triptych.evaluation.snapshot_scores import SNAPSHOTS, panel
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.curves import metric_and_fid
from triptych.figures.image_grids import image_grids, image_rows
from triptych.figures.style import save, save_images
from triptych.models.gan.family import CriticFamily
from triptych.objectives.adversarial import jsd
from triptych.training.reproducible import generator

ROWS, POINTS = 5, 9  # interpolations, and points on each: two samples and seven steps between them
MANY = 100  # samples in one picture
CANDIDATES = 500  # samples from which the ends of interpolations are chosen


def draw_pictures(evaluation: Evaluation) -> None:
    """Draw the pictures of a GAN.

    With a discriminator: U2.5 losses over training, U2.6 samples at three epochs, U2.7 interpolations. With a critic:
    M2.7 losses, M2.7a samples after training and at three epochs, M2.7c the critic's estimate and FID over training.
    """
    if isinstance(evaluation.family, CriticFamily):
        _draw_with_critic(evaluation)
    else:
        CHARTS["U2.5-losses"].draw(evaluation, "U2.5-losses", "Losses of the two players")
        evaluation.draw_samples("U2.6-samples", "Samples from the same latents")
        _draw_interpolations(evaluation)


def _draw_with_critic(evaluation: Evaluation) -> None:
    name = evaluation.name
    unit = "loss (nats)" if evaluation.family.metric is jsd else "loss"
    CHARTS["M2.7-losses"].draw(evaluation, "M2.7-losses", f"Losses of the two players, {name}", unit)
    _draw_many_samples(evaluation)

    def after_updates(epoch: int) -> str:
        return f"after {epoch * evaluation.epoch_updates:,} updates" if epoch else at_epoch(0)

    evaluation.draw_samples("M2.7a-stages", f"Samples of {name} from the same latents", after_updates)
    figure = metric_and_fid([panel(name, evaluation.folder / SNAPSHOTS)], "The critic's estimate, and FID")
    save(figure, evaluation.folder / "M2.7c-progress.png")


def _draw_many_samples(evaluation: Evaluation) -> None:
    latents = evaluation.family.draw_latents(MANY, generator(evaluation.seed, "many samples"))
    images = to_uint8(evaluation.family.sample(latents), "samples").numpy()
    figure = image_grids([(f"{MANY} samples", images)], round(MANY**0.5), evaluation.name)
    save_images(figure, evaluation.folder / "M2.7a-samples.png", colour=images.ndim == 4)


def _draw_interpolations(evaluation: Evaluation) -> None:
    """Draw straight lines between the latents of samples to which the classifier assigns different classes.

    If it does not know the classes of the images, the lines are between any samples.
    """
    latents = evaluation.family.draw_latents(CANDIDATES, generator(evaluation.seed, "interpolations"))
    labels = None
    if evaluation.classify:
        labels = evaluation.classify(to_uint8(evaluation.family.sample(latents), "samples").to(latents.device)).cpu()
    chosen = ends(torch.zeros(CANDIDATES) if labels is None else labels, ROWS)
    first, last = (latents[list(side)][:, None] for side in zip(*chosen, strict=True))
    points = torch.lerp(first, last, torch.linspace(0, 1, POINTS, device=latents.device)[:, None])
    images = to_uint8(evaluation.family.sample(points.flatten(0, 1)), "interpolations")
    title = "Along a straight line between two latents"
    title += "" if labels is None else "; at the ends, the classifier's labels"
    figure = image_rows(
        images.view(ROWS, POINTS, *images.shape[1:]).numpy(),
        [f"{index / (POINTS - 1):.3g}" for index in range(POINTS)],
        title,
        [label_texts(labels, pair) for pair in chosen],
    )
    save_images(figure, evaluation.folder / "U2.7-interpolations.png", colour=images.ndim == 4)

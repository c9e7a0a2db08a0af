"""The pictures of a GAN: its losses and its samples."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch

from triptych.evaluation.context import at_epoch
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS, panel
from triptych.evaluation.quantization import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids, strips
from triptych.figures.style import save, save_grey, save_images
from triptych.figures.twin import twins
from triptych.models.gan.critic_family import CriticFamily
from triptych.objectives.adversarial import jsd
from triptych.training.reproducible import generator

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.evaluation.context import Evaluation


ROWS, POINTS = 5, 9  # of the interpolations: two samples, and seven steps between them
MANY = 100  # samples in one picture
DRAWN = 500  # samples among which their ends are found


def draw_pictures(evaluation: Evaluation) -> None:
    """With a discriminator: U2.5, the losses over training; U2.6, 25 samples at three times; U2.7, interpolations.

    With a critic: M2.7a, 100 samples, and 25 at three times; M2.7c, what the critic estimates and FID over training.
    """
    if isinstance(evaluation.family, CriticFamily):
        unit = "loss (nats)" if evaluation.family.metric is jsd else "loss"
        title = f"M2.7  Losses of the two players, {evaluation.name}"
        _draw_losses(evaluation, "critic", unit, title, "M2.7-losses.png", apart=True)
        _draw_many(evaluation)
        _draw_stages(
            evaluation,
            partial(_after_updates, evaluation),
            f"M2.7a  Samples of {evaluation.name} from the same latents",
            "M2.7a-stages.png",
        )
        panels = [panel(evaluation.name, evaluation.folder / SNAPSHOTS)]
        figure = twins(panels, "M2.7c  What the critic estimates, and FID")
        save(figure, evaluation.folder / "M2.7c-progress.png")
    else:
        _draw_losses(evaluation, "discriminator", "loss (nats)", "U2.5  Losses of the two players", "U2.5-losses.png")
        _draw_stages(evaluation, at_epoch, "U2.6  Samples from the same latents", "U2.6-samples.png")
        _draw_interpolations(evaluation)


def _draw_losses(
    evaluation: Evaluation, opponent: str, unit: str, title: str, file_name: str, *, apart: bool = False
) -> None:
    lines = [
        Curve(f"train_{opponent}_loss", f"{opponent}, training", opponent),
        Curve(f"valid_{opponent}_loss", f"{opponent}, validation", opponent, dashed=True),
        Curve("train_generator_loss", "generator, training", "generator"),
        Curve("valid_generator_loss", "generator, validation", "generator", dashed=True),
    ]
    known = [line for line in lines if line.column in evaluation.history[-1]]
    save(curves(evaluation.history, known, title, unit, apart=apart), evaluation.folder / file_name)


def _after_updates(evaluation: Evaluation, epoch: int) -> str:
    return f"after {epoch * evaluation.epoch_updates:,} updates" if epoch else at_epoch(0)


def _draw_stages(evaluation: Evaluation, heading: Callable[[int], str], title: str, file_name: str) -> None:
    panels = [(heading(epoch), quantize(images, "samples").numpy()) for epoch, images in evaluation.samples().items()]
    save_images(grids(panels, 5, title), evaluation.folder / file_name, colour=panels[0][1].ndim == 4)


def _draw_many(evaluation: Evaluation) -> None:
    latents = evaluation.family.draw_latents(MANY, generator(evaluation.seed, "many samples"))
    images = quantize(evaluation.family.sample(latents), "samples").numpy()
    figure = grids([(f"{MANY} samples", images)], round(MANY**0.5), f"M2.7a  {evaluation.name}")
    save_images(figure, evaluation.folder / "M2.7a-samples.png", colour=images.ndim == 4)


def _draw_interpolations(evaluation: Evaluation) -> None:
    """Straight lines between the latents of samples that the classifier tells apart."""
    latents = evaluation.family.draw_latents(DRAWN, generator(evaluation.seed, "interpolations"))
    labels = evaluation.classify(quantize(evaluation.family.sample(latents), "samples").to(latents.device)).cpu()
    chosen = ends(labels)
    first, last = (latents[list(side)][:, None] for side in zip(*chosen, strict=True))
    points = torch.lerp(first, last, torch.linspace(0, 1, POINTS, device=latents.device)[:, None])
    images = quantize(evaluation.family.sample(points.flatten(0, 1)), "interpolations")
    figure = strips(
        images.view(ROWS, POINTS, *images.shape[1:]).numpy(),
        [f"{index / (POINTS - 1):.3g}" for index in range(POINTS)],
        "U2.7  Along a straight line between two latents; the digits are the classifier's",
        [(str(int(labels[left])), str(int(labels[right]))) for left, right in chosen],
    )
    save_grey(figure, evaluation.folder / "U2.7-interpolations.png")


def ends(labels: Tensor) -> list[tuple[int, int]]:
    """Indices of the samples that each row leads from and to: of two classes, each class in its turn.

    Where the samples (n,) are all of one class, a row has it at both ends.
    """
    classes = labels.unique().tolist()
    members = {label: (labels == label).nonzero().squeeze(1).tolist() for label in classes}
    turns = [classes[turn % len(classes)] for turn in range(2 * ROWS)]
    found = [members[label][turns[:turn].count(label) % len(members[label])] for turn, label in enumerate(turns)]
    return list(zip(found[::2], found[1::2], strict=True))

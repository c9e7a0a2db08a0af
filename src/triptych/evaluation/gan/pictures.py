"""The pictures of a GAN: its losses and its samples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.evaluation.context import at_epoch
from triptych.evaluation.images import quantize
from triptych.figures.curves import Curve, curves
from triptych.figures.grids import grids, strips
from triptych.figures.style import save, save_grey
from triptych.training.reproducible import generator

if TYPE_CHECKING:
    from torch import Tensor

    from triptych.evaluation.context import Evaluation


ROWS, POINTS = 5, 9  # of the interpolations: two samples, and seven steps between them
DRAWN = 500  # samples among which their ends are found


def draw_pictures(evaluation: Evaluation) -> None:
    """U2.5, the losses over training; U2.6, 25 samples at three times; U2.7, interpolations."""
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
    _draw_interpolations(evaluation)


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

"""The pictures of a flow: its likelihood over training, its samples and, for NICE, the way through its layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from triptych.evaluation.context import at_epoch
from triptych.evaluation.flow.traversal import POINTS, traversals
from triptych.evaluation.quantization import quantize
from triptych.figures.curves import Curve, curves_over_epochs
from triptych.figures.image_grids import image_grids, image_rows
from triptych.figures.style import save, save_grey

if TYPE_CHECKING:
    from triptych.evaluation.context import Evaluation

LAYERWISE = 10  # samples whose way through the layers is shown


def draw_pictures(evaluation: Evaluation) -> None:
    """U3.8, likelihood over training, and samples at the first, middle and last epoch; of a NICE R1, R2 and R3."""
    nice = evaluation.family.architecture == "nice"
    _draw_curves(evaluation, "R1" if nice else "U3.8")
    _draw_samples(evaluation, "R1" if nice else "U3.8")
    if nice:
        _draw_layers(evaluation)
        _draw_traversals(evaluation)


def _draw_curves(evaluation: Evaluation, identifier: str) -> None:
    title = f"{identifier}  Likelihood of {evaluation.name}"
    bits = _both("bits_per_dimension", 1)
    figure = curves_over_epochs(evaluation.history, bits, title, "bits per dimension")
    save(figure, evaluation.folder / f"{identifier}-bits-per-dimension.png")
    nats = _both("negative_log_likelihood", -1)
    figure = curves_over_epochs(evaluation.history, nats, title, "log-likelihood (nats per image)")
    save(figure, evaluation.folder / f"{identifier}-log-likelihood.png")


def _both(quantity: str, factor: int) -> list[Curve]:
    return [
        Curve(f"train_{quantity}", "training", "train", factor),
        Curve(f"valid_{quantity}", "validation", "valid", factor),
    ]


def _draw_samples(evaluation: Evaluation, identifier: str) -> None:
    panels = [(at_epoch(epoch), quantize(images, "samples").numpy()) for epoch, images in evaluation.samples().items()]
    figure = image_grids(panels, 5, f"{identifier}  Samples of {evaluation.name} from the same latents")
    save_grey(figure, evaluation.folder / f"{identifier}-samples.png")


@torch.no_grad()
def _draw_layers(evaluation: Evaluation) -> None:
    family = evaluation.family
    way = family.layers.way_back(evaluation.shown[:LAYERWISE])
    images = torch.stack([quantize(family.shown(values).cpu(), "a layer") for values in way], 1)
    count = len(way) - 1
    between = [f"layer {count - index}" for index in range(count - 1)]
    figure = image_rows(images.numpy(), ["z", *between, "x"], "R2  From z to x: after the inverse of each layer")
    save_grey(figure, evaluation.folder / "R2-layers.png")


def _draw_traversals(evaluation: Evaluation) -> None:
    found = traversals(evaluation)
    ends = found.images[:, :, None].float()
    rows = torch.cat([ends[:, 0], found.points, ends[:, 1]], 1).to(torch.uint8)
    shares = [f"{index / (POINTS - 1):.2f}" for index in range(POINTS)]
    title = "R3  Along a straight line between two latents, by the share of the way; the digits are the images' labels"
    figure = image_rows(
        rows.numpy(), ["image", *shares, "image"], title, [tuple(map(str, pair)) for pair in found.labels]
    )
    save_grey(figure, evaluation.folder / "R3-traversals.png")

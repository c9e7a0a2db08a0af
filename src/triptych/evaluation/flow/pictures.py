"""The pictures of a flow: its likelihood over training, its samples and, for NICE, its layers and traversals."""

import torch

from triptych.evaluation.context import Evaluation
from triptych.evaluation.flow.latent_traversal import POINTS, traversals
from triptych.evaluation.flow.presentation import CHARTS
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.image_grids import image_rows
from triptych.figures.style import save_images

LAYERWISE = 10  # samples in the picture of the layers


def draw_pictures(evaluation: Evaluation) -> None:
    """Draw likelihood over training and samples, as U3.8 or for NICE as R1; for NICE also R2 layers, R3 traversals."""
    nice = evaluation.family.architecture == "nice"
    identifier = "R1" if nice else "U3.8"
    for quantity in ("bits-per-dimension", "log-likelihood"):
        picture = f"{identifier}-{quantity}"
        CHARTS[picture].draw(evaluation, picture, f"Likelihood of {evaluation.name}")
    title = f"Samples of {evaluation.name} from the same latents"
    evaluation.draw_samples(f"{identifier}-samples", title)
    if nice:
        _draw_layers(evaluation)
        _draw_traversals(evaluation)


@torch.no_grad()
def _draw_layers(evaluation: Evaluation) -> None:
    family = evaluation.family
    steps = family.layers.inverse_steps(evaluation.shown[:LAYERWISE])
    images = torch.stack([to_uint8(family.to_intensities(values).cpu(), "a layer") for values in steps], 1)
    count = len(steps) - 1
    between = [f"layer {count - index}" for index in range(count - 1)]
    figure = image_rows(images.numpy(), ["z", *between, "x"], "From z to x: after the inverse of each layer")
    save_images(figure, evaluation.folder / "R2-layers.png", colour=images.ndim > 4)


def _draw_traversals(evaluation: Evaluation) -> None:
    found = traversals(evaluation)
    ends = found.images[:, :, None].float()
    rows = torch.cat([ends[:, 0], found.points, ends[:, 1]], 1).to(torch.uint8)
    shares = [f"{index / (POINTS - 1):.2f}" for index in range(POINTS)]
    title = "Along a straight line between two latents, by the share of the way"
    title += "; at the ends, the images' labels" if any(map(any, found.labels)) else ""
    figure = image_rows(rows.numpy(), ["image", *shares, "image"], title, found.labels)
    save_images(figure, evaluation.folder / "R3-traversals.png", colour=rows.ndim > 4)

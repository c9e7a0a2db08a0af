"""Figures of a latent space of two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

from triptych.figures.image_grids import tile
from triptych.figures.style import CLASS_COLOURS, new_figure, tidy

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REACH = 4.0  # half of the shown width, in standard deviations of the prior


def manifold(panels: Sequence[tuple[str, np.ndarray]], side: int, tail: float) -> Figure:
    """Return a figure of decoded images over the latent plane.

    Each panel is a heading and uint8 images (side * side, h, w), the first row at the top. The latents are at equal
    steps of the prior's quantiles, from `tail` to 1 - `tail`.
    """
    prior = NormalDist()
    end = prior.inv_cdf(1 - tail)
    marks = (-end, -1.0, 0.0, 1.0, end)
    places = [0.5 + (side - 1) * (prior.cdf(mark) - tail) / (1 - 2 * tail) for mark in marks]
    figure = new_figure(4.2 * len(panels), 4.8)
    for axes, (heading, images) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        axes.imshow(tile(images, side, gap=0), cmap="gray", vmin=0, vmax=255, extent=(0, side, 0, side))
        axes.set_xticks(places, [f"{mark:.3g}" for mark in marks])
        axes.set_yticks(places, [f"{mark:.3g}" for mark in marks])
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel("$z_1$ (quantile scale)")
        axes.set_ylabel("$z_2$ (quantile scale)")
    figure.suptitle(
        f"U1.15  Manifold: {side} by {side} latents at equal steps of the prior's quantiles, {tail:g} to {1 - tail:g}",
        fontsize=12,
    )
    return figure


def aggregate_posterior(latents: np.ndarray, labels: np.ndarray, of: str) -> Figure:
    """Return a scatter plot of draws z (n, 2), one per image, coloured by the image's label (n,).

    Circles show one and two standard deviations of the prior. `of` names the images.
    """
    from matplotlib.patches import Circle

    figure = new_figure(8.2, 6.2)
    axes = figure.subplots()
    for label, colour in enumerate(CLASS_COLOURS):
        chosen = latents[labels == label]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=4, color=colour, linewidths=0, label=str(label))
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color="#333333", linestyle="--", linewidth=0.8))
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    outside = int((abs(latents) > REACH).any(1).sum())
    tidy(axes, "$z_1$ (dashed: one and two standard deviations of the prior)", "$z_2$")
    note = f"\n{outside} lie outside" if outside else ""
    figure.legend(title=f"classifier's label{note}", loc="outside right center", frameon=False, markerscale=4)
    figure.suptitle(f"U1.15  Aggregate posterior: one draw of z for each of {of}", fontsize=12)
    return figure

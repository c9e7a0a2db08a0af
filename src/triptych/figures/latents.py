"""Two-dimensional latent spaces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from triptych.figures.grids import tile
from triptych.figures.style import CLASS_COLOURS, new_figure, tidy

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

REACH = 4.0  # of the plane that is shown, in standard deviations of the prior


def manifold(panels: Sequence[tuple[str, np.ndarray]], side: int, axis: Sequence[float], tail: float) -> Figure:
    """What each point of a plane of latents decodes to: per panel a heading and uint8 images (side * side, h, w).

    `axis` holds the latents along both axes, at equal steps of the prior's quantiles from `tail` to 1 - `tail`.
    """
    figure = new_figure(4.9 * len(panels), 5.5)
    for axes, (heading, images) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        sheet = tile(images, side)
        axes.imshow(sheet, cmap="gray", vmin=0, vmax=255, interpolation="antialiased", extent=(0, side, 0, side))
        marks = [0, side // 4, side // 2, side - 1 - side // 4, side - 1]
        words = [f"{axis[mark]:.1f}" for mark in marks]
        axes.set_xticks([mark + 0.5 for mark in marks], words)
        axes.set_yticks([mark + 0.5 for mark in marks], words)
        axes.set_title(heading, fontsize=10)
        axes.set_xlabel("$z_1$")
        axes.set_ylabel("$z_2$")
    title = (
        f"U1.15  Manifold: {side} by {side} latents at equal steps of the prior's quantiles, {tail:g} to {1 - tail:g}"
    )
    figure.suptitle(title, fontsize=12)
    return figure


def aggregate_posterior(latents: np.ndarray, labels: np.ndarray, of: str) -> Figure:
    """Draws of z (n, 2), one an image, in the colour of the image's label; circles of one and two deviations."""
    from matplotlib.patches import Circle

    figure = new_figure(6.6, 6.0)
    axes = figure.subplots()
    for label, colour in enumerate(CLASS_COLOURS):
        chosen = latents[labels == label]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=4, color=colour, linewidths=0, label=str(label))
    for radius in (1, 2):
        axes.add_patch(Circle((0, 0), radius, fill=False, color="#333333", linestyle="--", linewidth=0.8))
    axes.set(xlim=(-REACH, REACH), ylim=(-REACH, REACH), aspect="equal")
    outside = int((abs(latents) > REACH).any(1).sum())
    axes.set_title(f"U1.15  Aggregate posterior: one draw of z for each of {of}", fontsize=11)
    tidy(axes, "$z_1$ (dashed: the prior's 1 and 2 standard deviations)", "$z_2$")
    title = "class, by the\nclassifier" + (f"\n({outside} outside)" if outside else "")
    legend = axes.legend(title=title, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, markerscale=4)
    legend.get_title().set_fontsize(9)
    return figure

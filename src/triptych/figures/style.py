"""The style of all figures: the colours, each with one meaning, and reproducible PNG files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# The colour-blind safe palette of Okabe and Ito.
COLOURS = {
    "train": "#0072B2",
    "valid": "#D55E00",
    "discriminator": "#CC79A7",
    "generator": "#009E73",
    "real": "#999999",
    "elbo": "#56B4E9",
    "likelihood": "#0072B2",
    "points": "#0072B2",
    "arcs": "#0072B2",
    "sine": "#D55E00",
    "critic": "#CC79A7",
    "metric": "#0072B2",
    "fid": "#D55E00",
    "jsd": "#0072B2",
    "w1": "#D55E00",
}
CLASS_COLOURS = (  # ten classes: that palette, and two shades that keep apart from it
    "#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#999999", "#7A3E00"
)  # fmt: skip
SHADES = 16  # of grey in a figure of grey images
FEW_COLOURS = 96  # in a figure of many coloured points
PHOTOGRAPH_COLOURS = 256  # in a figure of coloured images
WIDTH, HEIGHT, DPI = 7.0, 4.2, 120  # inches, inches, pixels per inch


def new_figure(width: float = WIDTH, height: float = HEIGHT, title: str = "") -> Figure:
    """Return an empty figure in the project's style, without pyplot and its global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")
    if title:
        figure.suptitle(title, fontsize=12)
    return figure


def add_legend(figure: Figure, *handles_and_labels: Collection[Any], columns: int = 2) -> None:
    """Add a legend below the axes; without handles and labels, of everything that has a label."""
    figure.legend(*handles_and_labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=9)


def label_point(axes: Axes, text: str, point: tuple[float, float], shift: tuple[float, float], **style: str) -> None:
    """Write a small text beside a point of the data, shifted by points of the page."""
    axes.annotate(text, point, xytext=shift, textcoords="offset points", fontsize=9, **style)


def tidy(axes: Axes, x_label: str, y_label: str) -> None:
    """Set labels and a light grid, and remove the upper and the right spine."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG file without the metadata that differ between versions of matplotlib."""
    figure.savefig(path, format="png", metadata={"Software": None})


def save_images(figure: Figure, path: Path, *, colour: bool) -> None:
    """Write a figure of images as a small PNG file, with few colours or shades of grey."""
    save_reduced(figure, path, PHOTOGRAPH_COLOURS) if colour else save_grey(figure, path)


def save_reduced(figure: Figure, path: Path, colours: int = FEW_COLOURS) -> None:
    """Write a figure as a small PNG file with few colours."""
    _render(figure).convert("RGB").quantize(colours).save(path, format="PNG", optimize=True)


def save_grey(figure: Figure, path: Path) -> None:
    """Write a figure without colours as a small PNG file with few shades of grey."""
    red = np.asarray(_render(figure))[..., 0].astype(np.float32)
    shades = np.rint(np.rint(red / 255 * (SHADES - 1)) * 255 / (SHADES - 1)).astype(np.uint8)
    Image.fromarray(shades).save(path, format="PNG", optimize=True)


def _render(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))

"""The style of all figures: the colours, each with one meaning, and small, transparent PNG files."""

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
CLASS_COLOURS = (  # ten classes: that palette, and three colours that keep apart from it, on white and on black
    "#7A7A7A", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7", "#A05A2C", "#8A63D2"
)  # fmt: skip
INK = "#7A7A7A"  # of text and axes: readable on white and on black, since figures have a transparent background
STYLE = {f"{part}.color": INK for part in ("text", "xtick", "ytick")} | {
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
}
LINE_COLOURS = 128  # in a figure of lines, bars or points
SHADES, PHOTOGRAPH_COLOURS = 16, 240  # of the images in a figure: grey, or coloured
LEVELS = 16  # of transparency of the text around images
WIDTH, HEIGHT, DPI = 7.0, 4.2, 120  # inches, inches, pixels per inch


def new_figure(width: float = WIDTH, height: float = HEIGHT, title: str = "") -> Figure:
    """Return an empty figure in the project's style, without pyplot. The style becomes matplotlib's default."""
    from matplotlib import rcParams
    from matplotlib.figure import Figure

    rcParams.update(STYLE)
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
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
    """Write a figure of lines, bars or points as a small PNG file with a transparent background."""
    _render(figure).quantize(LINE_COLOURS, Image.Quantize.FASTOCTREE).save(path, format="PNG", optimize=True)


def save_images(figure: Figure, path: Path, *, colour: bool) -> None:
    """Write a figure of opaque images as a small PNG file; the text around them is transparent grey."""
    rendered = _render(figure)
    indices, palette = _photograph(rendered) if colour else _shades(rendered)
    shades, alpha = len(palette) // 3, np.asarray(rendered)[..., 3]
    reduced = Image.fromarray(np.where(alpha == 255, indices, shades + alpha // (256 // LEVELS)).astype(np.uint8), "P")
    reduced.putpalette([*palette, *bytes.fromhex(INK[1:]) * LEVELS])
    opacities = [255] * shades + [level * 255 // (LEVELS - 1) for level in range(LEVELS)]
    reduced.save(path, format="PNG", optimize=True, transparency=bytes(opacities))


def save_grey(figure: Figure, path: Path) -> None:
    """Write a figure of grey images as a small PNG file."""
    save_images(figure, path, colour=False)


def _photograph(rendered: Image.Image) -> tuple[np.ndarray, list[int]]:
    """Return the index of each pixel's colour, and the colours."""
    found = rendered.convert("RGB").quantize(PHOTOGRAPH_COLOURS)
    return np.asarray(found), found.getpalette()[: 3 * PHOTOGRAPH_COLOURS]


def _shades(rendered: Image.Image) -> tuple[np.ndarray, list[int]]:
    """Return the index of each pixel's shade, and the shades, at equal distances."""
    indices = np.rint(np.asarray(rendered)[..., 0] / 255 * (SHADES - 1))
    return indices, [shade * 255 // (SHADES - 1) for shade in range(SHADES) for _ in range(3)]


def _render(figure: Figure) -> Image.Image:
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))

"""One look for every figure: colour-blind safe colours, each with one meaning, and PNG files that repeat exactly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from PIL import Image

# Okabe and Ito's palette.
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
SHADES = 16  # of grey in a picture of images
REDUCED = 96  # colours of a picture of many coloured points
PALETTE = 256  # colours of a picture of photographs
WIDTH, HEIGHT, DPI = 7.0, 4.2, 120  # inches, inches, pixels an inch


def new_figure(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """An empty figure in the project's style, without pyplot and its global state."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), dpi=DPI, layout="constrained", facecolor="white")


def tidy(axes: Axes, x_label: str, y_label: str) -> None:
    """Labels with units, a light grid, no box."""
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG without the metadata that would differ between versions."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png", metadata={"Software": None})


def save_reduced(figure: Figure, path: Path, colours: int = REDUCED) -> None:
    """The same for a figure of many colours, in a few of them: a fraction of the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _draw(figure).convert("RGB").quantize(colours).save(path, format="PNG", optimize=True)


def save_images(figure: Figure, path: Path, *, colour: bool) -> None:
    """The same for a figure of images, in as few colours, or shades of grey, as do them justice."""
    if colour:
        save_reduced(figure, path, PALETTE)
    else:
        save_grey(figure, path)


def save_grey(figure: Figure, path: Path) -> None:
    """The same for a figure without colours, in a few shades of grey: a fraction of the bytes."""
    import numpy as np
    from PIL import Image

    red = np.asarray(_draw(figure))[..., 0].astype(np.float32)
    shades = np.rint(np.rint(red / 255 * (SHADES - 1)) * 255 / (SHADES - 1)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(shades).save(path, format="PNG", optimize=True)


def _draw(figure: Figure) -> Image.Image:
    """The figure as pixels."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))

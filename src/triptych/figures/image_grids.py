"""Grids of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from triptych.core.errors import TriptychError
from triptych.core.files import readable
from triptych.figures.style import new_figure

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

GAP, SHADE = 2, 0x7A  # pixels between two images, and their grey, which suits a white and a black page
PANELS_PER_ROW = 5
LETTER = 0.1  # width of a letter in the title, in inches
GREY = {"cmap": "gray", "vmin": 0, "vmax": 255, "interpolation": "nearest"}
SHEET = "samples.png"  # an experiment's samples without axes, in its plots folder
REAL_SHEET = "real.png"  # as many real images, beside the reference statistics
SHEET_IMAGES, SHEET_COLUMNS = 25, 5


def tile(images: np.ndarray, columns: int, gap: int = GAP) -> np.ndarray:
    """Return uint8 images (n, h, w) or (n, 3, h, w), row by row, as one uint8 image (H, W) or (H, W, 3).

    Neighbouring images have a grey gap of `gap` pixels.
    """
    colours = images.shape[1:-2]
    if colours:
        images = np.moveaxis(images, 1, -1)
    count, height, width = images.shape[:3]
    rows = -(-count // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, *colours), SHADE, np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = image
    return sheet


def read_sheet(path: Path, advice: str = "run the stage that writes it again") -> np.ndarray:
    """Return the pixels of an image file. Raises TriptychError, with the advice, if it is missing or damaged."""
    with readable(path, advice):
        try:
            with Image.open(path) as picture:
                return np.asarray(picture)
        except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise TriptychError(f"{path} is not a picture ({error}): {advice}") from None


def strip(sheet: np.ndarray, rows: int) -> np.ndarray:
    """Return the first rows of a sheet of samples side by side, in one row."""
    height = (sheet.shape[0] + GAP) // (SHEET_IMAGES // SHEET_COLUMNS)
    parts = [sheet[row * height : (row + 1) * height - GAP] for row in range(rows)]
    between = np.full((len(parts[0]), GAP, *sheet.shape[2:]), SHADE, np.uint8)
    return np.hstack([part for each in parts for part in (between, each)][1:])


def image_grids(panels: Sequence[tuple[str, np.ndarray]], columns: int, title: str) -> Figure:
    """Return one panel per heading, with a grid of its uint8 images (n, h, w) or (n, 3, h, w)."""
    return image_panels([(heading, tile(images, columns)) for heading, images in panels], title)


def image_panels(panels: Sequence[tuple[str, np.ndarray]], title: str) -> Figure:
    """Return one panel per heading, with its uint8 image (h, w), in grey, or (h, w, 3)."""
    columns = min(len(panels), PANELS_PER_ROW)
    rows = -(-len(panels) // columns)
    figure = new_figure(max(3.3 * columns, LETTER * len(title)), 0.4 + 3.5 * rows, title)
    places = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (heading, image) in zip(places, panels, strict=False):
        axes.imshow(image, **GREY)
        axes.set_title(heading, fontsize=12)
    for axes in figure.axes:
        axes.set_axis_off()
    return figure


def image_rows(
    images: np.ndarray, headings: Sequence[str], title: str, ends: Sequence[tuple[str, str]] | None = None
) -> Figure:
    """Return a table of uint8 images (rows, columns, h, w) or (rows, columns, 3, h, w) with one heading per column.

    `ends` are the texts at the left and at the right end of each row.
    """
    rows, columns, *_, height, width = images.shape
    figure = new_figure(max(6.0, 0.85 * columns), 1.0 + 0.85 * rows, title)
    axes = figure.subplots()
    axes.imshow(tile(images.reshape(-1, *images.shape[2:]), columns), **GREY)
    axes.set_xticks([index * (width + GAP) + width / 2 for index in range(columns)], headings, fontsize=9)
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False, length=0)
    axes.set_yticks([])
    if ends:
        middles = [index * (height + GAP) + height / 2 for index in range(rows)]
        left, right = zip(*ends, strict=True)
        axes.set_yticks(middles, left, fontsize=9)
        axes.tick_params(left=False)
        for middle, text in zip(middles, right, strict=True):
            axes.annotate(text, (1.01, middle), xycoords=("axes fraction", "data"), va="center", fontsize=9)
    axes.spines[:].set_visible(False)
    return figure

"""The wall of samples: one row per experiment, below a row of real images."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from triptych.figures.image_grids import REAL_SHEET, SHEET, read_sheet, strip
from triptych.reports.numbers import FORMATS
from triptych.repository.project import Project

Json = dict[str, Any]

ROWS = 3  # of a sheet, side by side in one row of the wall
COLOURS = 64


def walls(project: Project, table: Sequence[Json]) -> list[Json]:
    """Return one wall per reference: its real images, and the samples of its experiments, sorted by FID."""
    references: dict[str, list[Json]] = {}
    for row in table:
        references.setdefault(row["comparison"]["name"], []).append(row)
    return [
        {
            "title": rows[0]["reference"],
            "real_fid": FORMATS["fid"].format(
                rows[0]["comparison"]["metrics"][rows[0]["measure_names"]["fid"]]["real_images"]
            ),
            "real": _strip(project.reference(name) / REAL_SHEET),
            "rows": [
                {
                    "row": row,
                    "fid": FORMATS["fid"].format(_fid(row)),
                    "picture": _strip(project.plots(row["experiment"]) / SHEET),
                }
                for row in sorted(rows, key=_fid)
            ],
        }
        for name, rows in references.items()
    ]


def _fid(row: Json) -> float:
    return row["over_seeds"][row["measure_names"]["fid"]].mean


def _strip(path: Path) -> Json | None:
    """Return the first images of a sheet as a PNG file in base64, or None without the sheet."""
    if not path.exists():
        return None
    image, file = Image.fromarray(strip(read_sheet(path), ROWS)), BytesIO()
    if image.mode == "RGB":
        image = image.quantize(COLOURS, Image.Quantize.FASTOCTREE)
    image.save(file, format="PNG")
    return {"data": base64.b64encode(file.getvalue()).decode(), "width": image.width, "height": image.height}

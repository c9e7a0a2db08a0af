"""The output of `triptych score`: a table, or JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from triptych.evaluation.fidelity.metric_names import MEASURES, name_of
from triptych.evaluation.intervals import plus_minus
from triptych.reports.numbers import FORMATS, few_images

Rows = Mapping[str, Mapping[str, Any]]

REAL = "real validation images"
ERRORS = "± is the standard error over images, and the 95 % interval follows."
ORIGIN = ("dataset", "split", "images", "source", "data_sha256", "extractor", "weights_sha256", "key")
"""Keys of the manifest of reference statistics that say what images were compared with."""


def score_json(found: Mapping[str, Rows], manifest: Mapping[str, Any]) -> str:
    """Return JSON: all numbers of each set by its path, with their protocol, and the origin of the reference."""
    document = {"reference": {key: manifest[key] for key in ORIGIN}, "sets": found}
    return json.dumps(document, indent=2, allow_nan=False, ensure_ascii=False)


def score_table(found: Mapping[str, Rows], manifest: Mapping[str, Any]) -> str:
    """Return one line per measure and one column per set, with the score of real images and the protocol below."""
    first = next(iter(found.values()))
    names = {measure: name_of(measure, first) for measure in MEASURES}
    fid = names["fid"]
    columns = [["", *names.values(), "images"]]
    for path, rows in found.items():
        cells = [_cell(measure, rows[name]) for measure, name in names.items()]
        columns.append([path, *cells, f"{rows[fid]['samples']:,}"])
    if "real_images" in first[fid]:
        cells = [_show(measure, first[name]["real_images"]) for measure, name in names.items()]
        columns.append([REAL, *cells, f"{first[fid]['real_samples']:,}"])
    widths = [max(map(len, column)) for column in columns]
    lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in zip(*columns, strict=True)]
    return "\n".join([*lines, "", *_protocol(names, first, manifest)])


def _cell(measure: str, row: Mapping[str, Any]) -> str:
    error = plus_minus(row.get("standard_error"))
    interval = f" ({_show(measure, row['low'])} to {_show(measure, row['high'])})" if "low" in row else ""
    return _show(measure, row["value"]) + error + interval


def _show(measure: str, value: float) -> str:
    return FORMATS[measure].format(value)


def _protocol(names: Mapping[str, str], rows: Rows, manifest: Mapping[str, Any]) -> list[str]:
    kid, parts = rows[names["kid"]], rows[names["is"]]["parts"]
    return [
        f"Compared with {manifest['images']:,} images of {manifest['dataset']}/{manifest['split']}: "
        f"{manifest['source']}.",
        *filter(None, [few_images(manifest["images"])]),
        f"Features of {manifest['extractor']}; KID over {kid['subsets']} subsets of {kid['subset_size']:,} images, IS "
        f"over {parts} parts, precision and recall with {rows[names['recall']]['neighbours']} neighbours.",
        *([ERRORS] if "standard_error" in kid else []),
        "Lower is better for FID and KID, higher for the others. Compare FIDs of equal numbers of images only.",
    ]

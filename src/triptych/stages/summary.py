"""The rows of `metrics/summary.csv`, the table of all experiments."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, read_bytes
from triptych.evaluation.fidelity.metric_names import ABSENT, MEASURES, SUFFIX, name_of
from triptych.evaluation.intervals import ERROR

Numbers = Mapping[str, Any]

INTERVALS = ("fid", "kid", "is")  # measures with a standard error and an interval
LIKELIHOODS = {
    "test_elbo": "ELBO",
    "test_log_likelihood": "log-likelihood",
    "test_bits_per_dimension": "bits per dimension",
}
CELLS = (
    "experiment", "dataset", "profile", "test_elbo", "test_log_likelihood", "likelihood_is", "test_bits_per_dimension",
    "classes", "epochs", "samples", "reference", "reference_images", "extractor",
)  # fmt: skip


def extractors_of(numbers: Collection[Numbers]) -> list[str]:
    """Return the extractors, `classifier` or `inception`, that measured at least one experiment."""
    return [kind for kind in SUFFIX if any(f"fid{SUFFIX[kind]}" in found for found in numbers)]


def summarise(name: str, family: str, metrics: Numbers, extractors: Sequence[str]) -> dict[str, object]:
    """Return one row of the comparison. Each cell is a number, or the reason why there is none.

    The row has the columns of all `extractors`.
    """
    test, absent = metrics["test"], metrics["not_defined"]
    row: dict[str, object] = {"experiment": name, "family": family, "dataset": metrics["data"]["dataset"]}
    for column in ("elbo", "log_likelihood", "bits_per_dimension"):
        row[f"test_{column}"] = f"{ABSENT}: {absent[column]}" if column in absent else test[column]
        row[f"test_{column}{ERROR}"] = test.get(f"{column}{ERROR}", ABSENT)
    row["likelihood_is"] = metrics.get("likelihood_is", row["test_log_likelihood"])
    protocol = metrics[name_of("fid", metrics)]
    for measure in (name + SUFFIX[extractor] for extractor in extractors for name in MEASURES):
        found = metrics.get(measure, {"value": f"{ABSENT}: measured on the features of {protocol['extractor']}"})
        row[measure] = found["value"]
        if measure.startswith(INTERVALS):
            row |= {f"{measure}_{key}": found.get(key, ABSENT) for key in ("standard_error", "low", "high")}
    for measure in ("recognised", "classes"):
        row[measure] = f"{ABSENT}: {absent[measure]}" if measure in absent else metrics[measure]["value"]
    row |= {key: protocol[key] for key in ("samples", "reference", "reference_images", "extractor")}
    row |= {key: metrics[key] for key in ("parameters", "epochs", "profile")}
    return row | {"data_sha256": metrics["data"]["sha256"]}


def read_summary(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the summary. Raises TriptychError if the file is missing or damaged."""
    if not path.exists():
        raise TriptychError(f"{path} does not exist: run `triptych repro` first")
    advice = "delete it and run `triptych repro`"
    try:
        rows = list(csv.DictReader(read_bytes(path, MOST_TEXT, advice).decode().splitlines()))
        whole = all(map(_is_whole, rows))
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error):
        whole = False
    if not whole:
        raise TriptychError(f"{path} is damaged: {advice}")
    return rows


def _is_whole(row: dict[str, Any]) -> bool:
    """Return whether a row has every cell. Raises ValueError or TypeError if a cell is not the number it must be."""
    fidelity = [name_of(measure, row) for measure in MEASURES]
    uncertain = [f"{column}{end}" for column in (*fidelity, *LIKELIHOODS) for end in (ERROR, "_low", "_high")]
    named = ("recognised", "classes")
    optional = [
        column for column in (*uncertain, *LIKELIHOODS, *named) if not row.get(column, ABSENT).startswith(ABSENT)
    ]
    for column in (*fidelity, *optional, "epochs"):
        float(row[column])
    int(row["parameters"])
    return None not in row and None not in row.values() and all(column in row for column in CELLS)

"""Read `metrics/summary.csv`, the table of all experiments."""

from __future__ import annotations

import csv
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, read_bytes
from triptych.core.project import Project
from triptych.evaluation.fidelity.metric_names import ABSENT, MEASURES, name_of
from triptych.evaluation.intervals import ERROR

LIKELIHOODS = {
    "test_elbo": "ELBO",
    "test_log_likelihood": "log-likelihood",
    "test_bits_per_dimension": "bits per dimension",
}
CELLS = (
    "experiment", "dataset", "profile", "test_elbo", "test_log_likelihood", "likelihood_is", "test_bits_per_dimension",
    "classes", "epochs", "samples", "reference", "reference_images", "extractor",
)  # fmt: skip


def read_summary(project: Project) -> list[dict[str, Any]]:
    """Return the rows of the summary. Raises TriptychError if the file is missing or damaged."""
    if not project.summary.exists():
        raise TriptychError(f"{project.summary} does not exist: run `triptych repro` first")
    advice = "delete it and run `triptych repro`"
    try:
        rows = list(csv.DictReader(read_bytes(project.summary, MOST_TEXT, advice).decode().splitlines()))
        whole = all(map(_is_whole, rows))
    except (AttributeError, KeyError, TypeError, ValueError, csv.Error):
        whole = False
    if not whole:
        raise TriptychError(f"{project.summary} is damaged: {advice}")
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

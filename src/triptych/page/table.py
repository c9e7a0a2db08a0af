"""The page's tables: the few numbers that matter first, each cell with what it is sorted by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from triptych.documents import PROTOCOL
from triptych.evaluation.fidelity.names import ABSENT
from triptych.files import flatten, is_number

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Row = Mapping[str, Any]

NOT_RECORDED = "not recorded"
DASH = "–"
ERROR = "_standard_error"
BEST = {"fid": min, "kid": min, "is": max, "precision": max, "recall": max}
LIKELIHOODS = {
    "test_elbo": "ELBO",
    "test_log_likelihood": "log-likelihood",
    "test_bits_per_dimension": "bits per dimension",
}
BETTER = {"test_elbo": max, "test_log_likelihood": max, "test_bits_per_dimension": min}
FORMATS = {
    "fid": "{:,.2f}",
    "kid": "{:.3f}",
    "is": "{:.3f}",
    "precision": "{:.3f}",
    "recall": "{:.3f}",
    "test_elbo": "{:,.2f}",
    "test_log_likelihood": "{:,.2f}",
    "test_bits_per_dimension": "{:.3f}",
    "recognised": "{:.1%}",
    "classes": "{:.0f}",
    "parameters": "{:,.0f}",
    "epochs": "{:.0f}",
    "train_seconds": "{:,.1f}",
    "seconds_per_sample": "{:.2g}",
}


@dataclass(frozen=True)
class Column:
    """A heading, the key of its cells, and what the heading says when pointed at."""

    heading: str
    key: str
    meaning: str


@dataclass(frozen=True)
class Cell:
    """What is shown, what it is sorted by (last, if by nothing), what it says when pointed at, whether it is best."""

    text: str
    sort: str = ""
    title: str = ""
    best: bool = False


COLUMNS = (
    Column("data", "dataset", "the data set that the model is of"),
    Column("FID", "fid", "Fréchet distance of samples from images; lower is better"),
    Column("log-likelihood", "test_log_likelihood", "nats per test image; higher is better"),
    Column("bits per dimension", "test_bits_per_dimension", "of the 8-bit test images; lower is better"),
    Column("recognised", "recognised", "share of samples that a classifier is sure of"),
    Column("training (s)", "train_seconds", "seconds of training"),
    Column("ELBO", "test_elbo", "nats per test image; higher is better"),
    Column("KID", "kid", "kernel distance of samples from images, ± standard deviation; lower is better"),
    Column("IS", "is", "Inception score, ± standard deviation; higher is better"),
    Column("precision", "precision", "share of samples that are near images; higher is better"),
    Column("recall", "recall", "share of images that are near samples; higher is better"),
    Column("classes", "classes", "classes that a classifier finds among the samples"),
    Column("parameters", "parameters", "numbers that are trained"),
    Column("epochs", "epochs", "of training"),
    Column("s per sample", "seconds_per_sample", "seconds to draw one sample, many at once"),
)


def compared(rows: Sequence[Row]) -> list[tuple[str, list[Cell]]]:
    """The table, as each experiment's name and its cells; the best is told among those that can be compared.

    Measures of fidelity compare under one reference (`protocol`), likelihoods on one data set.
    """
    return [(row["experiment"], [_cell(column.key, row, rows) for column in COLUMNS]) for row in rows]


def configured(metrics: Mapping[str, Any]) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """What a study measured: the columns, its headline first, and each configuration's cells."""
    rows = {name: flatten(metrics[name]) for name in metrics["configurations"]}
    measured = [key for row in rows.values() for key in row if key.rpartition(".")[2] not in PROTOCOL]
    keys = dict.fromkeys([metrics["headline"], *(key for key in measured if not key.endswith(ERROR))])
    return list(keys), [(name, [_measured(row, key) for key in keys]) for name, row in rows.items()]


def _measured(row: Row, key: str) -> Cell:
    if key not in row:
        return Cell(DASH, title=ABSENT)
    error = row.get(key + ERROR)
    return Cell(show_number(row[key]) + (f" ± {error:.2g}" if is_number(error) else ""), str(row[key]))


def show_number(value: object) -> str:
    """A number as people read it; words as they are."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if number == 0 or 1e-3 <= abs(number) < 1e5:
        return f"{number:,.4g}" if abs(number) < 1000 else f"{number:,.0f}"
    return f"{number:.3g}"


def _cell(key: str, row: Row, rows: Sequence[Row]) -> Cell:
    if key in BEST:
        return _fidelity(key, row)
    value = str(row[key])
    if key == "dataset":
        return Cell(value, value)
    if value.startswith(ABSENT):
        return Cell(DASH, title=value)
    if value == NOT_RECORDED:
        return Cell(value)
    best = key in BETTER and _is_best(key, row, rows, BETTER[key])
    title = row["likelihood_is"] if key == "test_log_likelihood" else ""
    return Cell(FORMATS[key].format(float(value)), value, title, best)


def _fidelity(measure: str, row: Row) -> Cell:
    column = row["judged"][measure]
    value, spread = float(row[column]), row.get(f"{column}_standard_deviation")
    text = FORMATS[measure].format(value) + (f" ± {float(spread):.2g}" if spread is not None else "")
    return Cell(text, row[column], column, value == row["protocol"]["best"][measure])


def _is_best(key: str, row: Row, rows: Sequence[Row], choose: Callable[[Sequence[float]], float]) -> bool:
    others = [float(each[key]) for each in rows if each["dataset"] == row["dataset"] and not _absent(each[key])]
    return len(others) > 1 and float(row[key]) == choose(others)


def _absent(value: object) -> bool:
    return str(value).startswith(ABSENT)

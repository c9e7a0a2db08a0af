"""The tables of the page: cells with their text, their sort key and their tooltip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from triptych.core.json_files import flatten, is_number
from triptych.evaluation.fidelity.metric_names import ABSENT, MEASURES
from triptych.evaluation.intervals import ERROR, in_words, interval_of, overlap, plus_minus
from triptych.evaluation.over_seeds import Spread, differ
from triptych.evaluation.results_file import PROTOCOL
from triptych.models.common.registry import FAMILIES
from triptych.reports.numbers import FORMATS, Row, few_images, show_number

NOT_RECORDED = "not recorded"
DASH = "–"
BEST = {"fid": min, "kid": min, "is": max}
BETTER = {"test_elbo": max, "test_log_likelihood": max, "test_bits_per_dimension": min}


@dataclass(frozen=True)
class Column:
    """A heading, the key of its cells, and its meaning."""

    heading: str
    key: str
    meaning: str


@dataclass(frozen=True)
class Cell:
    """Text, sort key (empty: sorted last), tooltip, and whether the number is the best, or like it."""

    text: str
    sort: str = ""
    title: str = ""
    best: bool = False


@dataclass(frozen=True)
class Table:
    """The experiments with one reference, the best first, and the scores of real images in the same columns."""

    reference: str
    sources: str
    several_datasets: bool
    columns: list[Column]
    rows: list[tuple[Row, list[Cell]]]
    real_images: list[Cell]
    note: str


COLUMNS = (  # each table shows the first ones that have numbers
    Column("FID", "fid", "Fréchet inception distance between samples and real images; lower is better"),
    Column("log-likelihood", "test_log_likelihood", "nats per test image of one data set; higher is better"),
    Column("bits per dimension", "test_bits_per_dimension", "of the 8-bit test images; lower is better"),
    Column("ELBO", "test_elbo", "evidence lower bound, nats per test image; higher is better"),
    Column("recognised", "recognised", "share of samples that a classifier assigns to one class with confidence"),
    Column("training (s)", "train_seconds", "seconds of training"),
    Column("KID", "kid", "kernel inception distance between samples and real images; lower is better"),
    Column("IS", "is", "inception score of the samples; higher is better"),
    Column("parameters", "parameters", "number of trained parameters"),
    Column("precision", "precision", "share of samples that lie near real images; read it together with recall"),
    Column("recall", "recall", "share of real images that lie near samples; read it together with precision"),
    Column("classes", "classes", "number of classes that a classifier finds among the samples"),
    Column("epochs", "epochs", "epochs of training"),
    Column("s per sample", "seconds_per_sample", "seconds per sample, drawn in large batches"),
    Column(
        "seeds", "seeds", "number of seeds; with several, numbers are mean ± standard deviation; times are of the first"
    ),
)


def tables(rows: Sequence[Row]) -> list[Table]:
    """Return one table per reference, without the columns in which no experiment has a number.

    The first column is the headline: that of the family if all experiments are of one family, else FID. In a column,
    the best number is marked, and each number that cannot be distinguished from it: for fidelity among experiments with
    one reference (`comparison`), for likelihoods among those on one data set.
    """
    references: dict[str, list[Row]] = {}
    for row in rows:
        references.setdefault(row["comparison"]["name"], []).append(row)
    return [_table(members, rows) for members in references.values()]


def _table(members: Sequence[Row], rows: Sequence[Row]) -> Table:
    headline = _headline(members)
    columns = sorted(COLUMNS, key=lambda column: column.key != headline)
    found = {row["experiment"]: [_cell(column.key, row, rows) for column in columns] for row in members}
    kept = [index for index in range(len(columns)) if any(cells[index].sort for cells in found.values())]
    sign = -1 if {**BEST, **BETTER}[headline] is max else 1

    def place(row: Row) -> tuple[bool, float]:
        key = found[row["experiment"]][0].sort
        return not key, sign * float(key or 0)

    return Table(
        members[0]["reference"],
        " and ".join(dict.fromkeys(row["source"] for row in members)),
        len({row["dataset"] for row in members}) > 1,
        [columns[index] for index in kept],
        [(row, [found[row["experiment"]][index] for index in kept]) for row in sorted(members, key=place)],
        [_real_images(columns[index].key, members) for index in kept],
        few_images(int(float(members[0]["reference_images"]))),
    )


def _headline(members: Sequence[Row]) -> str:
    """Return the key of the number by which experiments are sorted."""
    metrics = {FAMILIES[row["family"]].headline.metric.replace(".", "_") for row in members}
    return next(iter(metrics)) if len(metrics) == 1 and metrics <= BETTER.keys() else "fid"


def _real_images(key: str, members: Sequence[Row]) -> Cell:
    """Return the score of real validation images."""
    score = members[0]["comparison"]["metrics"].get(members[0]["measure_names"].get(key, key))
    if not isinstance(score, dict):
        return Cell("")
    return Cell(FORMATS[key].format(score["real_images"]))


def study_table(seeds: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[tuple[str, list[Cell]]]]:
    """Return the columns of a study, headline first, and the cells of each configuration.

    `seeds` are the metrics of the study, one mapping per seed.
    """
    first = seeds[0]
    found = {name: [flatten(metrics[name]) for metrics in seeds] for name in first["configurations"]}
    shown = [key for rows in found.values() for key in rows[0] if key.rpartition(".")[2] not in PROTOCOL]
    keys = dict.fromkeys([first["headline"], *(key for key in shown if not key.endswith(ERROR))])
    return list(keys), [(name, [_measured(rows, key) for key in keys]) for name, rows in found.items()]


def _measured(rows: Sequence[Row], key: str) -> Cell:
    if any(key not in row for row in rows):
        return Cell(DASH, title=ABSENT)
    values = [row[key] for row in rows]
    if not all(map(is_number, values)):
        return Cell(", ".join(dict.fromkeys(map(str, values))), str(values[0]))
    spread = Spread.of(values)
    if spread.deviation is not None:
        return Cell(show_number(spread.mean) + plus_minus(spread.deviation), str(spread.mean), _title(spread))
    return Cell(show_number(values[0]) + plus_minus(rows[0].get(key + ERROR)), str(values[0]))


def _title(spread: Spread) -> str:
    return f"mean and standard deviation over {spread.n} seeds" if spread.n > 1 else ""


def _cell(key: str, row: Row, rows: Sequence[Row]) -> Cell:
    if key in MEASURES:
        return _fidelity(key, row, rows)
    if key == "seeds":
        count = next(iter(row["over_seeds"].values())).n
        return Cell(str(count), str(count) if count > 1 else "")
    value = str(row[key])
    if value.startswith(ABSENT):
        return Cell(DASH, title=value)
    if value == NOT_RECORDED:
        return Cell(value)
    spread = row["over_seeds"].get(key) or Spread.of([float(value)])  # the journal's numbers are of the first seed
    words = FORMATS[key].format(spread.mean) + (_deviation(key, spread.deviation) if spread.deviation else "")
    titles = [_title(spread), row["likelihood_is"] if key == "test_log_likelihood" else "", _interval(key, row)]
    rivals = [each["over_seeds"] for each in rows if each["dataset"] == row["dataset"]]
    best = key in BETTER and _is_best(key, row["over_seeds"], rivals, BETTER[key])
    return Cell(words, str(spread.mean), "; ".join(filter(None, titles)), best)


def _deviation(key: str, deviation: float) -> str:
    return f" ± {deviation:.1%}" if "%" in FORMATS[key] else plus_minus(deviation)


def _fidelity(measure: str, row: Row, rows: Sequence[Row]) -> Cell:
    column, over = row["measure_names"][measure], row["over_seeds"]
    spread, error = over[column], over.get(column + ERROR)
    deviation = spread.deviation if spread.n > 1 else error and error.mean
    text = FORMATS[measure].format(spread.mean) + plus_minus(deviation)
    title = "; ".join(filter(None, [column, _title(spread), _interval(column, row)]))
    rivals = [each["over_seeds"] for each in rows if each["comparison"] is row["comparison"]]
    best = measure in BEST and _is_best(column, over, rivals, BEST[measure])  # precision without recall says nothing
    return Cell(text, str(spread.mean), title, best)


def _interval(column: str, row: Row) -> str:
    """Return the interval of a number in words; an empty string if there is none, or if there are several seeds."""
    over = row["over_seeds"]
    found = interval_of(_means(over), column) if column in over and over[column].n == 1 else None
    return in_words(found, "{:,.4g}").strip(" ()")


def _means(over: Mapping[str, Spread]) -> dict[str, float]:
    return {key: spread.mean for key, spread in over.items()}


def _is_best(
    column: str, own: Mapping[str, Spread], rivals: Sequence[Mapping[str, Spread]], choose: Callable[..., Any]
) -> bool:
    """Return whether a number is the best of several, or cannot be distinguished from the best.

    Welch's test decides if both are means over seeds, else their intervals. Without either, nothing is marked.
    """
    rivals = [over for over in rivals if column in over]
    if len(rivals) == 1:
        return False
    best = choose(rivals, key=lambda over: over[column].mean)
    different = differ(own[column], best[column])
    if different is None:
        intervals = [interval_of(_means(over), column) for over in (own, best)]
        different = None in intervals or not overlap(*intervals)
    return not different

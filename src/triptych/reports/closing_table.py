"""The tables that `triptych repro` prints at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap

from triptych.core.json_files import read_json
from triptych.data.raw_images import without_checksum
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.records.headlines import study_summary, title_of
from triptych.reports.numbers import FORMATS, Row, few_images, number_in, over_seeds
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.stages.summary import read_summary

LINE = 100  # the width of the tables
FIDELITY = {"fid": ("FID", 9), "kid": ("KID", 9), "is": ("IS", 8)}
LIKELIHOODS = {
    "test_elbo": ("ELBO", 11),
    "test_log_likelihood": ("log p", 11),
    "test_bits_per_dimension": ("bits/dim", 10),
}
"""Heading and width of each column."""
NEXT = """Where to look next:
  report.html          all numbers, curves and pictures on one page
  triptych ui          the runs side by side in MLflow
  triptych status      what is trained, and which results are out of date
"""
OF_HEAD = "  triptych plots HEAD  curves and samples beside those of the last commit"
ALONE = "  triptych plots       curves and samples on one page"


def closing_table(project: Project, settings: Settings) -> str:
    """Return the headline numbers and where to look next.

    There is one block per protocol of fidelity and family, and one line per experiment and study. Experiments that
    differ only in their seeds share one line, with the mean.
    """
    rows = {row["experiment"]: row for row in read_summary(project.summary)}
    groups = settings.seed_groups(among=rows)
    means = [
        _mean(rows[first], [rows[name] for name in names]) | {"source": _source(project, first)}
        for first, names in groups.items()
    ]
    measured = [name for name in settings.studies if project.results(name).exists()]
    width = max((len(text) for row in means for text in (title_of(row["family"]), row["shown"])), default=0)
    lines = [line for protocol in dict.fromkeys(map(_protocol, means)) for line in _block(protocol, means, width)]
    if any(len(names) > 1 for names in groups.values()):
        lines += ["Several seeds: these are means; report.html and metrics/seeds.csv have standard deviations.", ""]
    lines += ["ELBO and log p are in nats per test image.", ""]
    if measured:
        width = max(map(len, measured))
        lines += ["Studies", *(f"  {name:<{width}}  {_point(project, settings, name)}" for name in measured), ""]
    return "\n".join([*lines, NEXT + (ALONE if project.commit()[0] == "none" else OF_HEAD)])


def _source(project: Project, experiment: str) -> str:
    """Return in words where the images of an experiment come from, without the checksum of their file."""
    return without_checksum(read_json(project.results(experiment))["data"]["source"])


def _point(project: Project, settings: Settings, study: str) -> str:
    return study_summary(read_json(project.results(study)), settings.studies[study].study)


def _mean(row: Row, group: Sequence[Row]) -> Row:
    """Return a row with the means over its seeds, and the name to show."""
    seeds = f" ({len(group)} seeds)" if len(group) > 1 else ""
    means = {key: spread.mean for key, spread in over_seeds(group).items()}
    return {**row, **means, "shown": f"{row['experiment']}{seeds}"}


def _protocol(row: Row) -> tuple[str, str]:
    """Return the reference, and in words how samples were compared with its images."""
    samples, real = int(float(row["samples"])), int(float(row["reference_images"]))
    words = f"FID, KID and IS of {samples:,} samples against {real:,} real images, features of {row['extractor']}"
    return row["reference"], words


def _block(protocol: tuple[str, str], rows: Sequence[Row], width: int) -> Iterator[str]:
    """Yield the rows with this protocol, family by family, each with the likelihoods that it has."""
    chosen = [row for row in rows if _protocol(row) == protocol]
    sources, (reference, comparison) = " and ".join(dict.fromkeys(row["source"] for row in chosen)), protocol
    yield from wrap(f"{reference}, from {sources}", LINE, subsequent_indent="  ")
    for words in (comparison, few_images(int(float(chosen[0]["reference_images"])))):
        yield from wrap(words, LINE, initial_indent="  ", subsequent_indent="  ")
    for family in dict.fromkeys(row["family"] for row in chosen):
        members = [row for row in chosen if row["family"] == family]
        columns = {
            key: LIKELIHOODS[key] for key in LIKELIHOODS if any(number_in(row[key]) is not None for row in members)
        }
        headings = [heading.rjust(space) for heading, space in (FIDELITY | columns).values()]
        yield f"{title_of(family):<{width + 2}}{''.join(headings)}"
        for row in members:
            cells = [_cell(key, row[name_of(key, row)], space) for key, (_, space) in FIDELITY.items()]
            cells += [_cell(key, row[key], space) for key, (_, space) in columns.items()]
            yield f"  {row['shown']:<{width}}{''.join(cells)}".rstrip()
    yield ""


def _cell(key: str, value: object, space: int) -> str:
    number = number_in(value)
    return ("" if number is None else FORMATS[key].format(number)).rjust(space)

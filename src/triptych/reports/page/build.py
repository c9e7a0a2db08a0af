"""`report.html`: one file with all results, their records and their origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file
from triptych.core.messages import one_line
from triptych.data.raw_images import without_checksum
from triptych.evaluation.fidelity.metric_names import ABSENT
from triptych.evaluation.over_seeds import CONFIDENCE
from triptych.models.common.registry import FAMILIES
from triptych.reports.numbers import over_seeds, show_number
from triptych.reports.page.findings import findings
from triptych.reports.page.sections import classifier_section, commit_of, experiment_section, pictures, study_section
from triptych.reports.page.table import BEST, BETTER, DASH, NOT_RECORDED, Table, tables
from triptych.reports.page.wall import walls
from triptych.repository.project import Project
from triptych.settings.params import Settings, read_written
from triptych.stages.summary import LIKELIHOODS, read_summary
from triptych.verify.check_views import check_summary
from triptych.verify.finding import Verdict, first_names

Json = dict[str, Any]

ON_THE_WALL = "X2-samples"  # pictures whose content the wall shows


def build_page(project: Project, settings: Settings) -> Path:
    """Write `report.html`, unless it already shows the files on disk."""
    html = _render_page(project, settings)
    if not _is_written(project, html):
        with atomic_file(project.page) as draft:
            draft.write_bytes(html)
    return project.page


@contextmanager
def stale_results() -> Iterator[None]:
    """Raise TriptychError if results that do not fit the settings break the page.

    Directly after a run no result is stale. The caller then does not use this, and an error of ours keeps its stack
    trace.
    """
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {one_line(error)}"
        raise TriptychError(f"the results do not fit params.yaml ({reason}): run `triptych repro`") from error


def try_to_build_page(project: Project, settings: Settings) -> bool:
    """Write the page of the results before a run; return whether that was possible.

    It is not if results are missing, damaged or stale. The stages of the run then replace them.
    """
    try:
        with stale_results():
            build_page(project, settings)
    except TriptychError:
        return False
    return True


def is_current(project: Project, settings: Settings) -> bool:
    """Return whether `report.html` is what `build_page` would write.

    Raises TriptychError if results are missing, damaged or stale.
    """
    with stale_results():
        return _is_written(project, _render_page(project, settings))


def _is_written(project: Project, html: bytes) -> bool:
    return project.page.exists() and project.page.read_bytes() == html


def _render_page(project: Project, settings: Settings) -> bytes:
    """Return the page as a function of the files on disk. Facts that the journal lacks are shown as not recorded.

    Raises TriptychError if a file is missing or damaged, or if `summary.csv` differs from the results.
    """
    _refuse_differing_summary(project, settings)
    rows = {row["experiment"]: row for row in read_summary(project.summary)}
    groups = settings.seed_groups(among=rows)
    written = read_written(project.params)
    experiments = [
        experiment_section(project, groups[name], settings.experiment(name).family, written) for name in groups
    ]
    compared = comparisons(experiments)
    table = [
        _table_row([rows[name] for name in names], section, compared)
        for names, section in zip(groups.values(), experiments, strict=True)
    ]
    scores = tables(table)
    measured = [name for name in settings.studies if project.results(name).exists()]
    classifiers = [name for name in settings.classifiers if project.results(f"classifier-{name}").exists()]
    studies = [
        study_section(project, names, settings.study(name).study)
        for name, names in settings.seed_groups(among=measured).items()
    ]
    by_name = [{section["name"]: section["metrics"] for section in kind} for kind in (experiments, studies)]
    folder = Path(__file__).parent
    html = _template(folder).render(
        experiments=experiments,
        profiles=sorted({row["profile"] for row in table}),
        made=provenance(run for section in experiments + studies for run in (section, *section["other_seeds"])),
        comparisons=compared,
        tables=scores,
        headlines=_headlines(scores),
        walls=walls(project, table),
        table=table,
        colours={entry.title: entry.colour for entry in FAMILIES.values()},
        families={
            entry.title: [section for section in experiments if section["family"] == entry.title]
            for entry in FAMILIES.values()
        },
        sources=_grouped((section["metrics"]["data"]["source"], section["name"]) for section in experiments),
        likelihoods=_grouped(
            (row["likelihood_is"], row["experiment"]) for row in table if not row["likelihood_is"].startswith(ABSENT)
        ),
        undefined=undefined(table),
        several_seeds=any(len(names) > 1 for names in groups.values()),
        confidence_of_seeds=f"{CONFIDENCE:.0%}",
        classifiers=[classifier_section(project, name) for name in classifiers],
        studies=studies,
        findings=findings(settings, *by_name, table),
        comparison_pictures=compared_pictures(project),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
    )
    return html.encode()


def _refuse_differing_summary(project: Project, settings: Settings) -> None:
    """Raise TriptychError if the summary has other numbers than the results: the page shows both."""
    found = check_summary(project, settings)
    if differing := [each.compared_with for each in found if each.verdict is not Verdict.EQUAL]:
        raise TriptychError(f"metrics/summary.csv differs from {first_names(differing)}: run `triptych repro`")


def comparisons(sections: Iterable[Json]) -> dict[str, Json]:
    """Return, by reference, the experiments that can be compared, and their protocol."""
    found: dict[str, Json] = {}
    for section in sections:
        metrics, name = section["metrics"], section["metrics"]["reference"]["name"]
        names = section["measure_names"]
        comparison = found.setdefault(name, {"name": name, "measure_names": names, "metrics": metrics, "names": []})
        comparison["names"].append(section["name"])
    return found


def _table_row(seeds: list[Json], section: Json, compared: dict[str, Json]) -> Json:
    """Return the row of an experiment for tables, walls and findings, from its rows of the summary, one per seed."""
    return seeds[0] | {
        "over_seeds": over_seeds(seeds),
        "title": section["family"],
        "source": without_checksum(section["metrics"]["data"]["source"]),
        "measure_names": section["measure_names"],
        "comparison": compared[section["metrics"]["reference"]["name"]],
        "train_seconds": section["train"].get("train_seconds", NOT_RECORDED),
        "seconds_per_sample": section["evaluate"].get("seconds_per_sample", NOT_RECORDED),
    }


def _headlines(scores: list[Table]) -> dict[str, list[tuple[str, str]]]:
    """Return the first two scores of each experiment, with their headings."""
    return {
        row["experiment"]: [
            (column.heading, cell.text)
            for column, cell in zip(each.columns, cells, strict=True)
            if column.key in {**BEST, **BETTER} and cell.sort
        ][:2]
        for each in scores
        for row, cells in each.rows
    }


def compared_pictures(project: Project) -> list[Json]:
    """Return the pictures of the comparison: wide ones first, then by height, so that those of one row are even."""
    found = [each for each in pictures(project.comparison) if not each["name"].startswith(ON_THE_WALL)]
    return sorted(found, key=lambda each: (not each["shape"], each["height"]))


def _template(folder: Path) -> Template:
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = show_number
    environment.filters["digits"] = lambda value: DASH if value is None else f"{value:,.5g}"
    return environment.get_template("page.html.j2")


def undefined(table: Iterable[Json]) -> list[str]:
    """Return one phrase for each reason why experiments lack a likelihood."""
    reasons = _grouped(
        (row[column].removeprefix(f"{ABSENT}: "), words)
        for row in table
        for column, words in LIKELIHOODS.items()
        if row[column].startswith(ABSENT)
    )
    return [f"{' and '.join(dict.fromkeys(words))}, where {reason}" for reason, words in reasons.items()]


def provenance(sections: Iterable[Json]) -> Json:
    """Return the commits, the machines, and the first and the last start (UTC) of all runs, from the journal."""
    sections = list(sections)
    facts = [facts for section in sections for facts in (section["train"], section.get("evaluate")) if facts]
    starts = sorted(each["started"][:16].replace("T", " ") for each in facts if "started" in each)
    return {
        "commits": list(dict.fromkeys(commit_of(each) for each in facts)),
        "machines": list(dict.fromkeys(each.get("machine", NOT_RECORDED) for each in facts)),
        "times": _from_to(starts[0], starts[-1]) if starts else "",
        "forgotten": [section["name"] for section in sections if not section["train"]],
    }


def _from_to(first: str, last: str) -> str:
    """Return a range of times to the minute; a day that both share is written once."""
    day, _, time = last.partition(" ")
    return first if first == last else f"{first} to {time if first.startswith(day) else last}"


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups

"""`report.html`: a view of results, journal and records, in one file that needs nothing else."""

from __future__ import annotations

import base64
import csv
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.files import MOST_TEXT, atomic_file, read_bytes
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.json_schemas import Metrics, read_document
from triptych.evaluation.fidelity.metric_names import ABSENT, name_of
from triptych.evaluation.over_seeds import CONFIDENCE
from triptych.evaluation.presentation import presentation_of
from triptych.models.common.registry import FAMILIES
from triptych.records.journal import look_up
from triptych.records.run_folder import run_folder_of
from triptych.reports.page.charts import chart_names, charts
from triptych.reports.page.findings import findings
from triptych.reports.page.picture_captions import caption_of
from triptych.reports.page.table import (
    BEST,
    COLUMNS,
    LIKELIHOODS,
    NOT_RECORDED,
    compared,
    configured,
    over_seeds,
    show_number,
)
from triptych.settings.seeds import grouped, stage_name
from triptych.studies.kinds import STUDIES

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings

WIDE = 900  # pixels
CELLS = (
    "experiment", "dataset", "profile", "test_elbo", "test_log_likelihood", "likelihood_is", "test_bits_per_dimension",
    "classes", "epochs", "samples", "reference", "reference_images", "extractor",
)  # fmt: skip
SAMPLES = "X2-samples"


def build_page(project: Project, settings: Settings) -> Path:
    """Write `report.html` from what is on disk; what the journal does not know is shown as not recorded."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("triptych.reports", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = show_number
    rows = {row["experiment"]: row for row in read_summary(project)}
    kept = {name: item for name, item in settings.experiments.items() if name in rows}
    groups = {name: names for name, names in grouped(rows).items() if name in kept}
    table = [rows[name] | {"over_seeds": over_seeds([rows[each] for each in groups[name]])} for name in kept]
    trained = [experiment_section(project, groups[name], item.family) for name, item in kept.items()]
    judges = [judge_section(project, name) for name in settings.classifiers]
    for row, section in zip(table, trained, strict=True):
        row["judged"] = {measure: name_of(measure, row) for measure in BEST}
        row["train_seconds"] = section["train"].get("train_seconds", NOT_RECORDED)
        row["seconds_per_sample"] = section["evaluate"].get("seconds_per_sample", NOT_RECORDED)
    judged_by = protocols(table, trained)
    measured_studies = grouped(name for name in settings.all_studies if project.metrics(name).exists())
    studies = [
        study_section(project, measured_studies[name], item.study)
        for name, item in settings.studies.items()
        if name in measured_studies
    ]
    folder = Path(__file__).parent
    html = environment.get_template("page.html.j2").render(
        profiles=sorted({row["profile"] for row in table}),
        made=provenance(trained + studies),
        columns=COLUMNS,
        compared=compared(table),
        table=table,
        protocols=judged_by,
        families=_by_family(trained),
        sources=_grouped((section["metrics"]["data"]["source"], section["name"]) for section in trained),
        likelihoods=_grouped(
            (row["likelihood_is"], row["experiment"]) for row in table if not row["likelihood_is"].startswith(ABSENT)
        ),
        undefined=undefined(table),
        several_seeds=any(len(names) > 1 for names in groups.values()),
        confidence_of_seeds=f"{CONFIDENCE:.0%}",
        confidence=f"{settings.active.fidelity.confidence:.0%} confidence",
        judges=judges,
        studies=studies,
        findings=findings(
            settings, *({each["name"]: each["metrics"] for each in part} for part in (trained, studies)), table
        ),
        comparison=sorted(pictures(project.comparison), key=_place),
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=(folder / "page.js").read_text(encoding="utf-8"),
    )
    with atomic_file(project.page) as draft:
        draft.write_text(html, encoding="utf-8")
    return project.page


def protocols(table: list[dict[str, Any]], sections: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By reference, what judged the experiments there, what real images score, and the best of each measure.

    Only experiments of one reference can be compared.
    """
    found: dict[str, dict[str, Any]] = {}
    for row, section in zip(table, sections, strict=True):
        metrics, name = section["metrics"], section["metrics"]["reference"]["name"]
        row["protocol"] = found.setdefault(name, {"row": row, "metrics": metrics, "names": [], "best": {}})
        row["protocol"]["names"].append(row["experiment"])
    for protocol in found.values():
        rows = [row for row in table if row["protocol"] is protocol]
        for measure, choose in BEST.items():
            column = protocol["row"]["judged"][measure]
            protocol["best"][measure] = choose((row["over_seeds"][column] for row in rows), key=lambda each: each.mean)
    return found


def undefined(table: Iterable[dict[str, Any]]) -> list[str]:
    """What some experiment has no number for, and why; in words."""
    reasons = _grouped(
        (row[column].removeprefix(f"{ABSENT}: "), words)
        for row in table
        for column, words in LIKELIHOODS.items()
        if row[column].startswith(ABSENT)
    )
    return [f"{' and '.join(dict.fromkeys(words))}, where {reason}" for reason, words in reasons.items()]


def _place(picture: dict[str, Any]) -> tuple[bool, int]:
    """Of all experiments together, what they make comes before what it scores, and more of it before less."""
    return (False, -picture["height"]) if picture["name"].startswith(SAMPLES) else (True, 0)


def provenance(sections: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """What the journal has of all that was trained: commits, machines, the first and the last start (UTC)."""
    sections = list(sections)
    facts = [facts for section in sections for facts in (section["train"], section.get("evaluate")) if facts]
    starts = sorted(each["started"][:16].replace("T", " ") for each in facts if "started" in each)
    return {
        "commits": list(dict.fromkeys(_commit(each) for each in facts)),
        "machines": list(dict.fromkeys(each.get("machine", NOT_RECORDED) for each in facts)),
        "times": _from_to(starts[0], starts[-1]) if starts else "",
        "forgotten": [section["name"] for section in sections if not section["train"]],
    }


def _from_to(first: str, last: str) -> str:
    """Two times to the minute, without saying twice what they share."""
    day, _, time = last.partition(" ")
    return first if first == last else f"{first} to {time if first.startswith(day) else last}"


def _commit(facts: dict[str, Any]) -> str:
    return facts.get("git_commit", NOT_RECORDED) + (" (with uncommitted changes)" if facts.get("git_dirty") else "")


def _by_family(sections: Iterable[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    titles = [entry.title for entry in FAMILIES.values()]
    return {title: [each for each in sections if each["family"] == title] for title in titles}


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for key, name in pairs:
        groups.setdefault(key, []).append(name)
    return groups


def read_summary(project: Project) -> list[dict[str, Any]]:
    """The rows of the comparison. Raises TriptychError before there is one."""
    if not project.summary.exists():
        raise TriptychError(f"{project.summary} does not exist: run `triptych repro` first")
    advice = "delete it and run `triptych repro`"
    try:
        rows = list(csv.DictReader(read_bytes(project.summary, MOST_TEXT, advice).decode().splitlines()))
        whole = all(map(_is_whole, rows))
    except (KeyError, TypeError, ValueError, csv.Error):
        whole = False
    if not whole:
        raise TriptychError(f"{project.summary} is damaged: {advice}")
    return rows


def _is_whole(row: dict[str, Any]) -> bool:
    """Whether a row has every cell. Raises what float does where one that must be a number is none."""
    judged = [name_of(measure, row) for measure in BEST]
    spreads = [f"{column}_standard_deviation" for column in judged if f"{column}_standard_deviation" in row]
    likelihoods = [column for column in LIKELIHOODS if not row[column].startswith(ABSENT)]
    for column in (*judged, *spreads, *likelihoods, "recognised", "classes", "epochs"):
        float(row[column])
    int(row["parameters"])
    return None not in row and None not in row.values() and all(column in row for column in CELLS)


def pictures(folder: Path) -> list[dict[str, Any]]:
    """Every picture of a folder, inlined, with its identifier and caption."""
    found = []
    for path in sorted(folder.glob("[A-Z][0-9]*.png")):
        content = path.read_bytes()
        identifier, _, words = path.stem.partition("-")
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # where a PNG has them
        found.append(
            {
                "id": identifier,
                "name": path.stem,
                "words": words.replace("-", " "),
                "caption": caption_of(path.stem),
                "shape": "wide" if width > WIDE else "",
                "width": width,
                "height": height,
                "data": base64.b64encode(content).decode(),
            }
        )
    return found


def experiment_section(project: Project, names: list[str], family: str) -> dict[str, Any]:
    """All that the page shows of one experiment, with where each number came from; of its repeats the numbers.

    `names` are its own and those of its repeats.
    """
    name, *repeats = names
    metrics = read_document(project.metrics(name), Metrics)
    train = look_up(project, "train", name, project.model(name) / MANIFEST)
    evaluate = look_up(project, "evaluate", name, project.metrics(name))
    return {
        "name": name,
        "family": FAMILIES[family].title,
        "metrics": metrics,
        "judged": {measure: name_of(measure, metrics) for measure in BEST},
        "numbers": [(key, value) for key, value in flatten(metrics).items() if is_number(value)],
        "pictures": sorted(pictures(project.plots(name)), key=lambda each: each["name"] not in chart_names()),
        "charts": charts(project, name, metrics),
        "notes": list(presentation_of(family).notes(metrics)),
        "train": train,
        "evaluate": evaluate,
        "origin": origin(project, stage_name("evaluate", name), name, metrics, evaluate),
        "training": training_facts(
            train, ("images per second", "images_per_second"), ("seconds per update", "seconds_per_update")
        ),
        "repeats": [experiment_section(project, [repeat], family) for repeat in repeats],
    }


def study_section(project: Project, names: list[str], kind: str) -> dict[str, Any]:
    """All that the page shows of one study; of its repeats the numbers."""
    name, *repeats = names
    metrics = read_json(project.metrics(name))
    journal = look_up(project, "study", name, project.model(name) / MANIFEST)
    columns, rows = configured([metrics, *(read_json(project.metrics(repeat)) for repeat in repeats)])
    return {
        "name": name,
        "kind": STUDIES[kind],
        "metrics": metrics,
        "columns": columns,
        "rows": rows,
        "numbers": [(key, value) for key, value in flatten(metrics).items() if is_number(value)],
        "pictures": pictures(project.plots(name)),
        "train": journal,
        "origin": origin(project, stage_name("study", name), name, metrics, journal),
        "training": training_facts(journal, ("iterations per second", "iterations_per_second")),
        "repeats": [study_section(project, [repeat], kind) for repeat in repeats],
    }


def training_facts(journal: dict[str, Any], *speeds: tuple[str, str]) -> list[tuple[str, Any]]:
    """When, where and how fast, as the journal of the training has it."""
    facts = (
        ("trained", "started"),
        ("machine", "machine"),
        ("device", "device"),
        ("seconds of training", "train_seconds"),
        *speeds,
    )
    return [(key, journal.get(name, NOT_RECORDED)) for key, name in facts]


def judge_section(project: Project, name: str) -> dict[str, Any]:
    """The classifier, and how good it is."""
    metrics = read_json(project.classifier_metrics(name))
    item = f"classifier-{name}"
    journal = look_up(project, "classifier", item, project.classifier(name) / MANIFEST)
    return {
        "name": item,
        "numbers": [(key, value) for key, value in flatten(metrics).items() if is_number(value)],
        "metrics": metrics,
        "origin": origin(project, f"classifier@{name}", item, metrics, journal),
    }


def origin(
    project: Project, stage: str, name: str, metrics: dict[str, Any], journal: dict[str, Any]
) -> list[tuple[str, str]]:
    """Where the numbers came from."""
    return [
        ("stage", stage),
        ("MLflow run", run_folder_of(project, name, metrics["fingerprint"]).mlflow_run_id or NOT_RECORDED),
        ("git commit", _commit(journal)),
        *_data_of(metrics),
        ("profile", metrics["profile"]),
        ("fingerprint", metrics["fingerprint"]),
    ]


def _data_of(metrics: dict[str, Any]) -> list[tuple[str, str]]:
    if "data" not in metrics:
        return []
    data = metrics["data"]
    return [("data", f"{data['dataset']}: {data['source']}"), ("data checksum", f"sha256 {data['sha256']}")]

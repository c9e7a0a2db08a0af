"""The content of the page's sections: one experiment, one study, one classifier each."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json
from triptych.core.json_schemas import read_document
from triptych.evaluation.fidelity.metric_names import MEASURES, name_of
from triptych.evaluation.intervals import plus_minus
from triptych.evaluation.presentation import presentation_of
from triptych.evaluation.results_file import Results
from triptych.models.common.registry import FAMILIES
from triptych.records.headlines import study_summary
from triptych.records.journal import look_up
from triptych.records.run_folder import PICTURES, run_folder_of
from triptych.reports.numbers import show_number
from triptych.reports.page.chart_drawing import panels
from triptych.reports.page.charts import chart_names, charts
from triptych.reports.page.picture_captions import caption_of
from triptych.reports.page.recipes import used_settings
from triptych.reports.page.table import NOT_RECORDED, study_table
from triptych.repository.project import Project
from triptych.studies.kinds import STUDIES

WIDE = 1200  # pixels; a wider figure spans all columns


def experiment_section(project: Project, names: list[str], family: str, written: dict[str, Any]) -> dict[str, Any]:
    """Return the content of one experiment, with the origin of each number.

    `names` are the experiments with these settings. The others differ only in their seeds; they have no pictures.
    `written` is the content of params.yaml.
    """
    name, *others = names
    numbers = _experiment_numbers(project, name)
    metrics = numbers["metrics"]
    return {
        **numbers,
        "family": FAMILIES[family].title,
        "settings": used_settings(project, name, written),
        "measure_names": {measure: name_of(measure, metrics) for measure in MEASURES},
        "pictures": sorted(pictures(project.plots(name)), key=lambda each: each["name"] not in chart_names()),
        "charts": {
            picture: [panel for chart in found for panel in panels(chart)]
            for picture, found in charts(project, name, metrics).items()
        },
        "notes": [*presentation_of(family).notes(metrics), *_published_protocol(metrics)],
        "other_seeds": [_experiment_numbers(project, other) for other in others],
    }


def _experiment_numbers(project: Project, name: str) -> dict[str, Any]:
    """Return the numbers of one seed of an experiment, and the facts of its training and evaluation."""
    metrics = read_document(project.results(name), Results)
    train = look_up(project, "train", name, project.model(name) / MANIFEST)
    evaluate = look_up(project, "evaluate", name, project.results(name))
    return {
        **_numbers_and_origin(project, f"evaluate@{name}", name, metrics, evaluate),
        "train": train,
        "evaluate": evaluate,
        "training": _training_facts(train, "images_per_second", "seconds_per_update"),
    }


def _published_protocol(metrics: dict[str, Any]) -> list[str]:
    """Return a sentence with the scores by the protocol of published tables, if they were measured."""
    if not (found := metrics.get("published_protocol")):
        return []
    words = ", ".join(
        f"{name} {show_number(row['value'])}{plus_minus(row.get('standard_error'))}" for name, row in found.items()
    )
    fid = found[name_of("fid", found)]
    real = f"{fid['reference_images']:,} images of {fid['reference']}"
    protocol = f"{fid['samples']:,} samples against {real}"
    return [f"By the protocol of published tables, {protocol}: {words} (± is the standard error)."]


def study_section(project: Project, names: list[str], kind: str) -> dict[str, Any]:
    """Return the content of one study. `names` are the studies with these settings, one per seed."""
    first, *others = (_study_numbers(project, name) for name in names)
    columns, rows = study_table([each["metrics"] for each in (first, *others)])
    return {
        **first,
        "kind": STUDIES[kind].title,
        "summary": study_summary(first["metrics"], kind),
        "columns": columns,
        "rows": rows,
        "pictures": pictures(project.plots(first["name"])),
        "other_seeds": others,
    }


def _study_numbers(project: Project, name: str) -> dict[str, Any]:
    """Return the numbers of one seed of a study, and the facts of its training."""
    metrics = read_json(project.results(name))
    journal = look_up(project, "study", name, project.model(name) / MANIFEST)
    return {
        **_numbers_and_origin(project, f"study@{name}", name, metrics, journal),
        "train": journal,
        "training": _training_facts(journal, "iterations_per_second"),
    }


def classifier_section(project: Project, name: str) -> dict[str, Any]:
    """Return the content of the classifier of a data set."""
    item = f"classifier-{name}"
    journal = look_up(project, "classifier", item, project.classifier(name) / MANIFEST)
    metrics = read_json(project.results(item))
    return _numbers_and_origin(project, f"classifier@{name}", item, metrics, journal)


def _numbers_and_origin(
    project: Project, stage: str, name: str, metrics: dict[str, Any], journal: dict[str, Any]
) -> dict[str, Any]:
    """Return the numbers of a stage, and where they come from."""
    origin = [
        ("stage", stage),
        ("MLflow run", run_folder_of(project, name, metrics["fingerprint"]).mlflow_run_id or NOT_RECORDED),
        ("git commit", commit_of(journal)),
    ]
    if data := metrics.get("data"):
        origin += [("data", f"{data['dataset']}: {data['source']}"), ("data checksum", f"sha256 {data['sha256']}")]
    return {
        "name": name,
        "metrics": metrics,
        "numbers": [(key, value) for key, value in flatten(metrics).items() if is_number(value)],
        "origin": [*origin, ("profile", metrics["profile"]), ("fingerprint", metrics["fingerprint"])],
    }


def _training_facts(journal: dict[str, Any], *speeds: str) -> list[tuple[str, Any]]:
    """Return when, where and how fast a model was trained, from the journal."""
    names = {
        "trained": "started",
        "machine": "machine",
        "processor": "processor",
        "device": "device",
        "seconds of training": "train_seconds",
    }
    names |= {speed.replace("_", " "): speed for speed in speeds}
    return [(words, journal.get(name, NOT_RECORDED)) for words, name in names.items()]


def commit_of(facts: dict[str, Any]) -> str:
    """Return the git commit of a journal entry, and whether there were uncommitted changes."""
    return facts.get("git_commit", NOT_RECORDED) + (" (with uncommitted changes)" if facts.get("git_dirty") else "")


def pictures(folder: Path) -> list[dict[str, Any]]:
    """Return the pictures of a folder, embedded as text, with identifier and caption."""
    found = []
    for path in sorted(folder.glob(PICTURES)):
        content = path.read_bytes()
        identifier, _, words = path.stem.partition("-")
        width, height = (int.from_bytes(content[at : at + 4], "big") for at in (16, 20))  # their places in a PNG
        found.append(
            {
                "id": identifier,
                "name": path.stem,
                "words": words.replace("-", " "),
                "caption": caption_of(path.stem),
                "shape": "full" if width > WIDE else "",
                "width": width,
                "height": height,
                "data": base64.b64encode(content).decode(),
            }
        )
    return found

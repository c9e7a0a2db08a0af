"""Views against the metrics: whether table, page and MLflow show the numbers that the files hold."""

from __future__ import annotations

import csv
from html.parser import HTMLParser
from typing import TYPE_CHECKING

from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, is_number, read_json
from triptych.records.run_folder import record_of
from triptych.training.history import step_name
from triptych.verify.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.records.mlflow.store import Store
    from triptych.records.run_folder import Record


SHOWN = 3  # names in a sentence


def check_summary(project: Project, families: Mapping[str, str]) -> Iterator[Finding]:
    """Each row of `metrics/summary.csv` against the metrics of its experiment."""
    from triptych.stages.report import extractors_of, summarise

    if not project.summary.exists():
        return
    with project.summary.open(encoding="utf-8", newline="") as file:
        rows = {row["experiment"]: row for row in csv.DictReader(file)}
    metrics = {name: read_json(project.metrics(name)) for name in families if project.metrics(name).exists()}
    extractors = extractors_of(metrics.values())
    for name, found in metrics.items():
        expected = summarise(name, families[name], found, extractors)
        shown = rows.get(name, {})
        wrong = [key for key, value in expected.items() if not _same(value, shown.get(key))]
        yield _view(f"metrics/summary.csv: {name}", wrong, f"metrics/{name}.json")


def _same(value: object, cell: str | None) -> bool:
    if cell is None or not is_number(value):
        return str(value) == cell
    try:
        return float(cell) == value
    except ValueError:
        return False


def _view(what: str, wrong: list[str], against: str) -> Finding:
    if wrong:
        words = ", ".join(wrong[:SHOWN]) + (f" and {len(wrong) - SHOWN} more" if wrong[SHOWN:] else "")
        return Finding(what, against, Verdict.CHANGED, f"not the same: {words}")
    return Finding(what, against, Verdict.EQUAL)


class _Numbers(HTMLParser):
    """Gathers the numbers of each section of the page, which stand in full behind the rounded ones."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str, dict[str, str]] = {}
        self.section: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "section":
            self.section = self.sections.setdefault(found.get("id") or "", {})
        if "data-key" in found:
            self.section[found["data-key"] or ""] = found.get("data-value") or ""


def check_page(project: Project, names: list[str]) -> Iterator[Finding]:
    """Each section of `report.html` against the metrics of its experiment, study or classifier."""
    if not project.page.exists():
        yield Finding("report.html", "metrics", Verdict.MISSING, "run `triptych page`")
        return
    page = _Numbers()
    page.feed(project.page.read_text(encoding="utf-8"))
    for name in names:
        path = project.metrics(name)
        if not path.exists():
            continue
        expected = {key: str(value) for key, value in flatten(read_json(path)).items() if is_number(value)}
        shown = page.sections.get(name, {})
        wrong = [key for key in expected.keys() | shown.keys() if expected.get(key) != shown.get(key)]
        yield _view(f"report.html: {name}", sorted(wrong), f"metrics/{name}.json")


def check_mlflow(project: Project, names: list[str]) -> Iterator[Finding]:
    """The run of each model in MLflow against its history and its metrics, point by point."""
    from triptych.records.mlflow.store import Store, brief, expected_errors, import_client

    import_client()
    store = Store(project)
    for name in names:
        manifest = project.model(name) / MANIFEST
        if not manifest.exists():
            continue
        record = record_of(project, name, read_json(manifest)["fingerprint"])
        try:
            yield _check_run(store, record, f"MLflow: {name}", project.metrics(name))
        except expected_errors() as error:
            yield Finding("MLflow", store.uri, Verdict.NOT_COMPARED, f"does not answer ({brief(error)})")
            return


def _check_run(store: Store, record: Record, what: str, metrics: Path) -> Finding:
    against = f"metrics/{metrics.name}"
    if not record.exists or (metrics.exists() and record.evaluation != read_json(metrics)):
        return Finding(what, against, Verdict.MISSING, "the record is an older one: run `triptych sync`")
    runs = store.runs(record.name, record.fingerprint, record.inputs["family"])
    if len(runs) != 1:
        return Finding(what, against, Verdict.MISSING, f"{len(runs)} runs instead of one: run `triptych sync`")
    expected: dict[str, list[tuple[int, float]]] = {}
    for row in record.points:
        step = step_name(row)
        for key in row.keys() - {step}:
            expected.setdefault(key, []).append((int(row[step]), float(row[key])))
    shown = store.curves(runs[0].info.run_id, expected)
    return _view(what, sorted(key for key, points in expected.items() if shown[key] != sorted(points)), against)

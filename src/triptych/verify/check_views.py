"""Compare the views of the results with the results: `summary.csv`, `report.html` and MLflow."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path

from triptych.core.file_names import MANIFEST, RESULTS
from triptych.core.json_files import flatten, is_number, read_json
from triptych.records.mlflow.store import Store, expected_errors
from triptych.records.run_folder import RunFolder, run_folder_of
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.stages.summary import extractors_of, read_summary, summarise
from triptych.training.history import step_name
from triptych.verify.finding import Finding, Verdict, finding_of


def check_summary(project: Project, settings: Settings) -> Iterator[Finding]:
    """Compare each row of `metrics/summary.csv` with the results of its experiment."""
    if not project.summary.exists():
        return
    rows = {row["experiment"]: row for row in read_summary(project.summary)}
    paths = {name: project.results(name) for name in settings.experiments}
    results = {name: read_json(path) for name, path in paths.items() if path.exists()}
    extractors = extractors_of(results.values())
    for name, found in results.items():
        expected = summarise(name, settings.experiments[name].family, found, extractors)
        cells = rows.get(name, {})
        differing = [key for key, value in expected.items() if not _is_same(value, cells.get(key))]
        yield finding_of(f"metrics/summary.csv: {name}", f"plots/{name}/{RESULTS}", differing, "triptych repro")


def _is_same(value: object, cell: str | None) -> bool:
    if cell is None or not is_number(value):
        return str(value) == cell
    try:
        return float(cell) == value
    except ValueError:
        return False


def check_page(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare each section of `report.html` with the results of its experiment, study or classifier."""
    if not project.page.exists():
        yield Finding("report.html", "plots", Verdict.MISSING, "run `triptych page`")
        return
    page = _PageNumbers()
    page.feed(project.page.read_text(encoding="utf-8", errors="replace"))
    for name in names:
        path = project.results(name)
        if not path.exists():
            continue
        expected = {key: str(value) for key, value in flatten(read_json(path)).items() if is_number(value)}
        shown = page.sections[name]
        differing = [key for key in expected.keys() | shown.keys() if expected.get(key) != shown.get(key)]
        yield finding_of(f"report.html: {name}", f"plots/{name}/{RESULTS}", differing, "triptych page")


class _PageNumbers(HTMLParser):
    """Collect the numbers of each section of the page, from the attributes that hold them with all digits."""

    def __init__(self) -> None:
        super().__init__()
        self.sections: dict[str | None, dict[str | None, str | None]] = defaultdict(dict)
        self.section: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "section":
            self.section = found.get("id")
        if "data-key" in found:
            self.sections[self.section][found["data-key"]] = found.get("data-value")


def check_mlflow(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare every point of each model's run in MLflow with the model's history and results."""
    store, expected = Store(project), expected_errors()
    for name in names:
        manifest = project.model(name) / MANIFEST
        if not manifest.exists():
            continue
        if store.is_missing:
            yield Finding("MLflow", store.address, Verdict.MISSING, "run `triptych sync`")
            return
        run = run_folder_of(project, name, read_json(manifest)["fingerprint"])
        try:
            yield _check_run(store, run, project.results(name))
        except expected as error:
            verdict = Verdict.DAMAGED if store.is_damaged(error) else Verdict.NOT_COMPARED
            yield Finding("MLflow", store.address, verdict, store.problem(error))
            return


def _check_run(store: Store, run: RunFolder, results: Path) -> Finding:
    item, compared_with = f"MLflow: {run.name}", f"plots/{run.name}/{RESULTS}"
    if not run.is_complete or (results.exists() and run.evaluation != read_json(results)):
        return Finding(item, compared_with, Verdict.MISSING, "the run folder is out of date: run `triptych sync`")
    shown = store.find_runs(run.name, run.inputs["fingerprint"], run.inputs["family"])
    if len(shown) != 1:
        return Finding(item, compared_with, Verdict.MISSING, f"{len(shown)} runs instead of one: run `triptych sync`")
    expected = _curves_of(run)
    curves = store.curves(shown[0].info.run_id, expected)
    differing = [key for key in expected if curves[key] != sorted(expected[key])]
    return finding_of(item, compared_with, differing, "triptych sync")


def _curves_of(run: RunFolder) -> dict[str, list[tuple[int, float]]]:
    """Return step and value of every point that MLflow must show, by metric."""
    curves: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for row in run.curves:
        step = step_name(row)
        for key in row.keys() - {step}:
            curves[key].append((int(row[step]), float(row[key])))
    return curves

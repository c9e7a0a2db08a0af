"""Run all comparisons of `triptych verify`, and make one table of their outcomes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.verify.check_baseline import check_baseline
from triptych.verify.check_outputs import check_outputs, check_weights
from triptych.verify.check_views import check_mlflow, check_page, check_summary
from triptych.verify.finding import Finding, Verdict

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings

LABEL_WIDTH, COLUMN_WIDTH = 38, 13  # characters


def verify(project: Project, settings: Settings) -> tuple[str, bool]:
    """Return the table as text, and whether it has no problem."""
    families = {name: experiment.family for name, experiment in settings.experiments.items()}
    names = list(settings.measured)
    comparisons = {
        "outputs with dvc.lock": check_outputs(project, settings),
        "weights with manifests and metrics": check_weights(project, names),
        "summary.csv with metrics": check_summary(project, families),
        "report.html with metrics": check_page(project, names),
        "MLflow with metrics and histories": check_mlflow(project, names),
        "metrics with metrics/baseline": check_baseline(project, names),
    }
    findings = {label: list(found) for label, found in comparisons.items()}
    rows = [_row("comparison of", [verdict.value for verdict in Verdict])]
    rows += [_row(label, _counts(found)) for label, found in findings.items()]
    notable = [finding for found in findings.values() for finding in found if finding.verdict is not Verdict.EQUAL]
    rows += [f"{found.verdict.value}: {found.item} (with {found.compared_with}): {found.detail}" for found in notable]
    problems = sum(finding.verdict.is_problem for finding in notable)
    rows.append(f"{problems} problems, listed above" if problems else "nothing has changed or drifted")
    return "\n".join(rows), not problems


def _row(label: str, cells: list[str]) -> str:
    return f"{label:<{LABEL_WIDTH}}" + "".join(f"{cell:>{COLUMN_WIDTH}}" for cell in cells)


def _counts(findings: list[Finding]) -> list[str]:
    counts = [sum(finding.verdict is verdict for finding in findings) for verdict in Verdict]
    return [str(count or ".") for count in counts]

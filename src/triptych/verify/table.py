"""All comparisons, and one table of what they came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.verify.finding import Finding, Verdict
from triptych.verify.numbers import check_numbers
from triptych.verify.outputs import check_outputs, check_weights
from triptych.verify.views import check_mlflow, check_page, check_summary

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings

WIDTH = 13


def verify(project: Project, settings: Settings) -> tuple[str, bool]:
    """The table as text, and whether nothing in it needs looking at."""
    families = {name: experiment.family for name, experiment in settings.experiments.items()}
    names = list(settings.measured)
    parts = {
        "outputs, by dvc.lock": check_outputs(project, settings),
        "weights, by manifests and metrics": check_weights(project, {name: project.metrics(name) for name in names}),
        "summary.csv, by metrics": check_summary(project, families),
        "report.html, by metrics": check_page(project, names),
        "MLflow, by metrics and histories": check_mlflow(project, names),
        "metrics, by metrics/baseline": check_numbers(project, names),
    }
    found = {part: list(findings) for part, findings in parts.items()}
    rows = [
        f"{'compared':<36}" + "".join(f"{verdict.value:>{WIDTH}}" for verdict in Verdict),
        *(_row(part, findings) for part, findings in found.items()),
    ]
    notable = [finding for findings in found.values() for finding in findings if finding.verdict is not Verdict.EQUAL]
    rows += [f"{finding.verdict.value}: {finding.what} ({finding.against}): {finding.detail}" for finding in notable]
    wrong = sum(finding.verdict.bad for finding in notable)
    rows.append(f"{wrong} to look at, see above" if wrong else "nothing has changed or drifted")
    return "\n".join(rows), not wrong


def _row(part: str, findings: list[Finding]) -> str:
    counts = [sum(finding.verdict is verdict for finding in findings) for verdict in Verdict]
    return f"{part:<36}" + "".join(f"{count or '.':>{WIDTH}}" for count in counts)

"""Run all comparisons of `triptych verify`, and make one table of their outcomes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from triptych.core.errors import TriptychError
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.verify.check_baseline import check_baseline
from triptych.verify.check_outputs import check_outputs, check_weights
from triptych.verify.check_views import check_mlflow, check_page, check_summary
from triptych.verify.finding import PROBLEMS, Finding, Verdict

ROW = "{:<36}" + "".join(f"{{:>{len(verdict.value) + 2}}}" for verdict in Verdict)


def verify(project: Project, settings: Settings) -> tuple[str, bool]:
    """Return the table as text, and whether it has no problem."""
    names = settings.measured
    comparisons = {
        "outputs with dvc.lock": check_outputs(project, settings),
        "weights with manifests and results": check_weights(project, names),
        "summary.csv with results": check_summary(project, settings),
        "report.html with results": check_page(project, names),
        "MLflow with results and histories": check_mlflow(project, names),
        "results with metrics/baseline": check_baseline(project, names),
    }
    rows, notable = [ROW.format("comparison of", *(verdict.value for verdict in Verdict))], []
    for label, findings in comparisons.items():
        found = list(_until_damage(label, findings))
        counts = Counter(finding.verdict for finding in found)
        rows.append(ROW.format(label, *(counts[verdict] or "." for verdict in Verdict)))
        notable += [finding for finding in found if finding.verdict is not Verdict.EQUAL]
    rows += [f"{found.verdict.value}: {found.item} (with {found.compared_with}): {found.detail}" for found in notable]
    problems = sum(finding.verdict in PROBLEMS for finding in notable)
    rows.append(f"number of problems: {problems} (listed above)" if problems else "no problems")
    return "\n".join(rows), not problems


def _until_damage(label: str, findings: Iterator[Finding]) -> Iterator[Finding]:
    """Yield the findings of a comparison. If a file is damaged, it ends with a finding that names the file."""
    try:
        yield from findings
    except TriptychError as error:
        item, _, compared_with = label.partition(" with ")
        yield Finding(item, compared_with, Verdict.DAMAGED, f"not all were compared: {error}")

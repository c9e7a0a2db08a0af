"""What `triptych repro` says at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.evaluation.fidelity.metric_names import name_of
from triptych.records.headlines import likelihood, study_headline
from triptych.reports.page.build import read_summary
from triptych.reports.page.table import over_seeds
from triptych.settings.seeds import grouped

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings


def closing_table(project: Project, settings: Settings) -> str:
    """The headline numbers of all experiments and studies, one line each, and where to look next."""
    rows = {row["experiment"]: row for row in read_summary(project)}
    lines = [f"{'experiment':<26} {'FID':>8} {'KID':>8} {'IS':>7}   likelihood on the test set"]
    groups = grouped(rows)
    for name, names in groups.items():
        means = {key: spread.mean for key, spread in over_seeds([rows[each] for each in names]).items()}
        row = rows[name] | means
        fid, kid, inception = (float(row[name_of(measure, row)]) for measure in ("fid", "kid", "is"))
        lines.append(
            f"{name:<26} {fid:8.2f} {kid:8.3f} {inception:7.3f}   {likelihood(row) or 'not defined'}"
            + (f" ({len(names)} seeds)" if len(names) > 1 else "")
        )
    protocols = {
        f"{row['extractor']}, {row['samples']} samples against {row['reference']}": None for row in rows.values()
    }
    lines.append(f"(FID, KID and IS on {'; '.join(protocols)})")
    if len(rows) > len(groups):
        lines.append("(of several seeds the mean; standard deviations are in report.html and metrics/seeds.csv)")
    lines += [study_line(project, name) for name in settings.all_studies if project.metrics(name).exists()]
    lines.append("Open report.html for curves and samples, or run `triptych ui` to compare runs in MLflow.")
    return "\n".join(lines)


def study_line(project: Project, name: str) -> str:
    """A study's name and headline."""
    return f"{name:<26} {study_headline(project, name)}"

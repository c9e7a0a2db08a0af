"""The table that `triptych repro` prints at the end."""

from __future__ import annotations

from triptych.core.project import Project
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.records.headlines import likelihood, study_headline
from triptych.reports.page.table import over_seeds
from triptych.reports.summary import read_summary
from triptych.settings.params import Settings


def closing_table(project: Project, settings: Settings) -> str:
    """Return the headline numbers with one line per experiment and study, and where to read on.

    Experiments that differ only in their seeds share one line, with the mean.
    """
    rows = {row["experiment"]: row for row in read_summary(project)}
    groups = settings.seed_groups(among=rows)
    lines = [f"{'experiment':<28} {'FID':>8} {'KID':>8} {'IS':>7}   likelihood on the test set"]
    for first, names in groups.items():
        means = {key: spread.mean for key, spread in over_seeds([rows[name] for name in names]).items()}
        row = rows[first] | means
        fid, kid, inception = (float(row[name_of(measure, row)]) for measure in ("fid", "kid", "is"))
        seeds = f" ({len(names)} seeds)" if len(names) > 1 else ""
        lines.append(f"{first:<28} {fid:8.2f} {kid:8.3f} {inception:7.3f}   {likelihood(row) or 'not defined'}{seeds}")
    protocols = {
        f"{row['extractor']}, {row['samples']} samples against {row['reference']}": None for row in rows.values()
    }
    lines.append(f"(FID, KID and IS on {'; '.join(protocols)})")
    if len(rows) > len(groups):
        lines.append("(for several seeds: the mean; report.html and metrics/seeds.csv have standard deviations)")
    measured = [name for name in settings.studies if project.results(name).exists()]
    lines += [f"{name:<28} {study_headline(project, name)}" for name in measured]
    lines.append("Open report.html for curves and samples, or run `triptych ui` to compare runs in MLflow.")
    return "\n".join(lines)

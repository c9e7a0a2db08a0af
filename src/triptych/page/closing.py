"""What `triptych repro` says at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.evaluation.fidelity.names import name_of
from triptych.files import flatten, read_json
from triptych.page.build import read_summary
from triptych.page.table import over_seeds
from triptych.seeds import grouped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from triptych.config import Settings
    from triptych.project import Project


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


def likelihood(row: Mapping[str, object]) -> str:
    """What a row knows of likelihoods; nothing where the model has none."""
    found = [
        _number(row["test_elbo"], "ELBO {:.2f}"),
        _number(row["test_log_likelihood"], "log p {:.2f} nats"),
        _number(row["test_bits_per_dimension"], "{:.3f} bits per dimension"),
    ]
    return ", ".join(filter(None, found))


def study_line(project: Project, name: str) -> str:
    """A study's name and headline."""
    return f"{name:<26} {study_headline(project, name)}"


def study_headline(project: Project, name: str) -> str:
    """The headline of each configuration: its number, or where that is a word, who shares it."""
    metrics = read_json(project.metrics(name))
    found = {item: flatten(metrics[item])[metrics["headline"]] for item in metrics["configurations"]}
    if all(isinstance(value, str) for value in found.values()):
        sharing = {value: [item for item in found if found[item] == value] for value in found.values()}
        words = "; ".join(f"{value}: {', '.join(items)}" for value, items in sharing.items())
    else:
        words = ", ".join(f"{item} {value:.3f}" for item, value in found.items())
    return f"{words} ({metrics['headline_is']})"


def _number(cell: object, pattern: str) -> str | None:
    try:
        return pattern.format(float(str(cell)))
    except ValueError:
        return None

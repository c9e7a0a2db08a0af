"""The curves of pictures as data, which the script of the page draws as interactive charts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

from triptych.core.file_names import HISTORY
from triptych.evaluation.presentation import Chart, presentations
from triptych.evaluation.snapshot_scores import SNAPSHOTS, panel
from triptych.figures.curves import Curve
from triptych.figures.style import COLOURS
from triptych.records.run_folder import has_weights, is_complete_model
from triptych.repository.project import Project
from triptych.training.history import History, read_history

ChartData = dict[str, Any]

PROGRESS = "M2.7c-progress"


def chart_names() -> set[str]:
    """Return the pictures that the page can draw as charts."""
    return {*_family_charts(), PROGRESS}


def charts(project: Project, name: str, metrics: Mapping[str, Any]) -> dict[str, list[ChartData]]:
    """Return the charts of an experiment by picture, each with labels `x` and `y`, `steps` along x, and `lines`.

    A missing or infinite value is None. If the history is missing, or belongs to another model, the result has no
    charts of the history.
    """
    found = {}
    if history := _history(project, name, metrics):
        for picture, chart in _family_charts().items():
            if chart.known(history[-1]):
                found[picture] = _chart_data(chart, history)
    snapshots = project.plots(name) / SNAPSHOTS
    if snapshots.exists():
        found[PROGRESS] = _progress(snapshots)
    return found


def _family_charts() -> dict[str, Chart]:
    return {picture: chart for each in presentations() for picture, chart in each.charts.items()}


def _history(project: Project, name: str, metrics: Mapping[str, Any]) -> History:
    """Return the history of the model that was measured, or an empty list without it."""
    model = project.model(name)
    was_measured = is_complete_model(model) and has_weights(model, metrics["weights_sha256"])
    return read_history(model / HISTORY) if was_measured else []


def _chart_data(chart: Chart, history: History) -> list[ChartData]:
    curves = chart.known(history[-1])
    groups = [list(group) for _, group in groupby(curves, key=lambda curve: curve.colour)]
    steps = [row["epoch"] for row in history]
    return [
        {"x": "epoch", "y": chart.y_label, "steps": steps, "lines": [_history_line(curve, history) for curve in group]}
        for group in (groups if chart.separate else [curves])
    ]


def _history_line(curve: Curve, history: History) -> dict[str, Any]:
    values = [curve.factor * row[curve.column] if curve.column in row else None for row in history]
    return _line(curve.label, curve.colour, values, dashed=curve.dashed)


def _line(label: str, colour: str, values: Sequence[float | None], *, dashed: bool = False) -> dict[str, Any]:
    known = [value if value is not None and isfinite(value) else None for value in values]
    return {"label": label, "colour": COLOURS[colour], "dashed": dashed, "values": known}


def _progress(snapshots: Path) -> list[ChartData]:
    """Return one chart for the critic's estimate and one for FID, since their scales differ."""
    shown = panel("", snapshots)
    metric = _line(shown.metric_label, "metric", shown.metric)
    fid = _line(shown.fid_label, "fid", shown.fid, dashed=True)
    return [
        {"x": "update of the generator", "y": line["label"], "steps": list(shown.updates), "lines": [line]}
        for line in (metric, fid)
    ]

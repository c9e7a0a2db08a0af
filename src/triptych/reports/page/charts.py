"""The curves behind pictures of the page, as data: what the script of the page draws over them, values included."""

from __future__ import annotations

from itertools import groupby
from math import isfinite
from typing import TYPE_CHECKING, Any

from triptych.core.file_names import HISTORY, MANIFEST
from triptych.core.json_files import read_json
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS, panel
from triptych.figures.curves import Curve
from triptych.figures.style import COLOURS
from triptych.training.history import History, read_history

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from triptych.core.project import Project

    Chart = dict[str, Any]


def _both(quantity: str, factor: int, words: str = "", *, dashed: bool = False) -> tuple[Curve, ...]:
    return (
        Curve(f"train_{quantity}", f"training{words}", "train", factor, dashed),
        Curve(f"valid_{quantity}", f"validation{words}", "valid", factor, dashed),
    )


def _players(opponent: str) -> tuple[Curve, ...]:
    return tuple(
        Curve(f"{split}_{player}_loss", f"{player}, {words}", player, dashed=dashed)
        for player in (opponent, "generator")
        for split, words, dashed in (("train", "training", False), ("valid", "validation", True))
    )


BITS = ("bits per dimension", _both("bits_per_dimension", 1))
NATS = ("log-likelihood (nats per image)", _both("negative_log_likelihood", -1))
DRAWN = {  # by picture: the axis, and the columns of the history that `evaluation/<family>/pictures.py` draws there
    "U1.13-elbo": (
        "bound (nats per image)",
        _both("negative_elbo", -1) + _both("negative_iw_bound", -1, ", importance-weighted", dashed=True),
    ),
    "U2.5-losses": ("loss (nats)", _players("discriminator")),
    "M2.7-losses": ("loss", _players("critic")),
    "U3.8-bits-per-dimension": BITS,
    "U3.8-log-likelihood": NATS,
    "R1-bits-per-dimension": BITS,
    "R1-log-likelihood": NATS,
}
APART = ("M2.7-losses",)  # a chart a player: their losses have no scale in common
PROGRESS = "M2.7c-progress"
CHARTS = (*DRAWN, PROGRESS)


def charts(project: Project, name: str, metrics: Mapping[str, Any]) -> dict[str, list[Chart]]:
    """By picture of an experiment, its charts: `x` and `y` are labels, `steps` the places along x, `lines` the values.

    A value that a step lacks is None. There are none of a picture whose history is not here, or is another model's.
    """
    found = {}
    if history := _history(project, name, metrics):
        steps = [row["epoch"] for row in history]
        for picture, (label, curves) in DRAWN.items():
            drawn = [curve for curve in curves if curve.column in history[-1]]
            groups = [list(group) for _, group in groupby(drawn, key=lambda curve: curve.colour)]
            if drawn:
                found[picture] = [
                    {"x": "epoch", "y": label, "steps": steps, "lines": [_line(curve, history) for curve in group]}
                    for group in (groups if picture in APART else [drawn])
                ]
    snapshots = project.plots(name) / SNAPSHOTS
    if snapshots.exists():
        found[PROGRESS] = _progress(snapshots)
    return found


def _history(project: Project, name: str, metrics: Mapping[str, Any]) -> History:
    """The history of the very model that was measured; empty where that is not to be had."""
    model = project.model(name)
    if not all((model / part).exists() for part in (MANIFEST, HISTORY)):
        return []
    if read_json(model / MANIFEST).get("weights_sha256") != metrics["weights_sha256"]:
        return []
    return read_history(model / HISTORY)


def _line(curve: Curve, history: History) -> dict[str, Any]:
    values = [curve.factor * row[curve.column] if curve.column in row else None for row in history]
    return _drawn(curve.label, curve.colour, values, dashed=curve.dashed)


def _drawn(label: str, colour: str, values: Sequence[float | None], *, dashed: bool = False) -> dict[str, Any]:
    known = [value if value is not None and isfinite(value) else None for value in values]
    return {"label": label, "colour": COLOURS[colour], "dashed": dashed, "values": known}


def _progress(snapshots: Path) -> list[Chart]:
    """Two charts, since the two have nothing but the updates in common."""
    shown = panel("", snapshots)
    metric = _drawn(shown.metric_label, "metric", shown.metric)
    fid = _drawn(shown.fid_label, "fid", shown.fid, dashed=True)
    return [
        {"x": "update of the generator", "y": line["label"], "steps": list(shown.updates), "lines": [line]}
        for line in (metric, fid)
    ]

"""The file that holds what each snapshot of a GAN scored, among the experiment's plots."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, read_bytes
from triptych.figures.metric_and_fid import ScoresOverTraining

SNAPSHOTS = "snapshots.csv"
AGAIN = "run the evaluation that writes it again"
METRIC_LABELS = {"jsd": "JSD, the critic's estimate (nats)", "w1": "W1, the critic's estimate"}
FID_LABELS = {"fid": "FID", "fid_classifier": "FID on classifier features"}


def write_snapshots(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """One row a snapshot."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def columns(names: Iterable[str]) -> tuple[str, str]:
    """Under which of these names the critic's estimate and FID stand. Raises ValueError if one has none."""
    known = set(names)
    (metric, *_), (fid, *_) = ([name for name in labels if name in known] for labels in (METRIC_LABELS, FID_LABELS))
    return metric, fid


def panel(heading: str, path: Path) -> ScoresOverTraining:
    """What a file of snapshots shows: the critic's estimate and FID, under the names of its columns.

    Before training the critic estimates nothing; that snapshot is left out where there are others.
    """
    try:
        first, *later = csv.DictReader(read_bytes(path, MOST_TEXT, AGAIN).decode().splitlines())
        rows = later or [first]
        metric, fid = columns(first)
        updates, estimates, distances = ([float(row[name]) for row in rows] for name in ("update", metric, fid))
    except (KeyError, TypeError, ValueError, csv.Error):  # cells that are missing or no numbers
        raise TriptychError(f"{path} is damaged: {AGAIN}") from None
    return ScoresOverTraining(heading, updates, estimates, METRIC_LABELS[metric], distances, FID_LABELS[fid])

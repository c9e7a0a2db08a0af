"""The file `snapshots.csv` among an experiment's plots: the scores of each snapshot of a GAN with a critic."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, read_bytes
from triptych.figures.curves import ScoresOverTraining

SNAPSHOTS = "snapshots.csv"
ADVICE = "run the evaluation that writes it again"
METRIC_LABELS = {"jsd": "JSD, the critic's estimate (nats)", "w1": "W1, the critic's estimate"}
FID_LABELS = {"fid": "FID", "fid_classifier": "FID on classifier features"}


def write_snapshots(path: Path, rows: Sequence[dict[str, float]]) -> None:
    """Write one row per snapshot."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def columns(names: Iterable[str]) -> tuple[str, str]:
    """Return the columns with the critic's estimate and with FID. Raises ValueError if one is missing.

    >>> columns(["epoch", "update", "w1", "fid"])
    ('w1', 'fid')
    """
    known = set(names)
    (metric, *_), (fid, *_) = ([name for name in labels if name in known] for labels in (METRIC_LABELS, FID_LABELS))
    return metric, fid


def panel(heading: str, path: Path) -> ScoresOverTraining:
    """Return the critic's estimate and FID over the snapshots of a file. Raises TriptychError if it is damaged."""
    try:
        rows = list(csv.DictReader(read_bytes(path, MOST_TEXT, ADVICE).decode().splitlines()))
        metric, fid = columns(rows[0])
        updates, estimates, distances = ([float(row[name]) for row in rows] for name in ("update", metric, fid))
    except (IndexError, KeyError, TypeError, ValueError, csv.Error):  # cells are missing, or are not numbers
        raise TriptychError(f"{path} is damaged: {ADVICE}") from None
    return ScoresOverTraining(heading, updates, estimates, METRIC_LABELS[metric], distances, FID_LABELS[fid])

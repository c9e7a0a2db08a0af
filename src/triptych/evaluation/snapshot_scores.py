"""The file `snapshots.csv` among an experiment's plots: the scores of each snapshot of a GAN with a critic."""

import math
from collections.abc import Iterable
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.evaluation.fidelity.metric_names import FID_LABELS
from triptych.figures.curves import ScoresOverTraining
from triptych.training.history import read_history

SNAPSHOTS = "snapshots.csv"
METRIC_LABELS = {"jsd": "JSD, the critic's estimate (nats)", "w1": "W1, the critic's estimate"}
METRIC_RANGES = {"jsd": (0.0, math.log(2)), "w1": None}


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
    rows = read_history(path)
    try:
        metric, fid = columns(rows[0])
        updates, estimates, distances = ([row[name] for row in rows] for name in ("update", metric, fid))
    except (KeyError, ValueError):  # columns or cells are missing
        raise TriptychError(f"{path} is damaged: run the evaluation that writes it again") from None
    return ScoresOverTraining(
        heading, updates, estimates, METRIC_LABELS[metric], METRIC_RANGES[metric], distances, FID_LABELS[fid]
    )

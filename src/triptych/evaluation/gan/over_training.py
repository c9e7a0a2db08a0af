"""What a critic's estimate and FID say of each other over training (M2.7b to d)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from triptych.core.json_files import read_json, write_json
from triptych.core.progress import Progress
from triptych.evaluation.gan.correlation import RankCorrelation, rank_correlation
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS, columns, write_snapshots
from triptych.evaluation.quantization import quantize
from triptych.training.reproducible import generator

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.evaluation.context import Evaluation
    from triptych.training.family import Family


def over_training(evaluation: Evaluation) -> dict[str, Any]:
    """Score the samples of every snapshot, all from the same latents; write them to `snapshots.csv`.

    Returns the scores of the last snapshot and of the one with the lowest FID, and the rank correlation of the critic's
    estimate on validation images with FID over all snapshots but the untrained one.
    """
    rows = [_row(evaluation, epoch, scores) for epoch, scores in _scores(evaluation).items()]
    write_snapshots(evaluation.folder / SNAPSHOTS, rows)
    metric, fid = columns(rows[0])
    trained = [row for row in rows if row["epoch"]]
    found = rank_correlation([row[metric] for row in trained], [row[fid] for row in trained])
    return {
        "snapshots": len(rows),
        "best": min(rows, key=lambda row: row[fid]),
        "last": rows[-1],
        "correlation": {
            "snapshots": len(trained),
            **({} if found is None else {"value": found.value, "low": found.low, "high": found.high}),
            "interval": "95 %, Bonett and Wright (2000), as if snapshots were independent",
            "sentence": sentence(found, len(trained)),
        },
    }


def _scores(evaluation: Evaluation) -> dict[int, dict[str, Any]]:
    """By epoch. Finished ones are kept in the workplace, and a second call goes on after them."""
    epochs = sorted({*evaluation.snapshots, evaluation.last})
    paths = {epoch: evaluation.workplace / f"scores-{epoch:04d}.json" for epoch in epochs}
    progress = Progress(evaluation.name, len(epochs), sum(path.exists() for path in paths.values()), "snapshots")

    def score(family: Family, path: Path) -> None:
        latents = family.draw_latents(evaluation.samples_to_judge, generator(evaluation.seed, "samples"))
        write_json(path, evaluation.score(quantize(family.sample(latents), f"samples of {evaluation.name}")))

    for done, (epoch, path) in enumerate(paths.items(), start=1):
        if not path.exists():
            evaluation.over_training(lambda family, path=path: score(family, path), [epoch])
        if progress.due():
            progress.report(done, f"FID after epoch {epoch}")
    progress.finish()
    return {epoch: read_json(path) for epoch, path in paths.items()}


def _row(evaluation: Evaluation, epoch: int, scores: dict[str, Any]) -> dict[str, float]:
    """One snapshot: its place, the critic's estimate on validation images, and what its samples score."""
    estimate = next(row["valid_metric"] for row in evaluation.history if row["epoch"] == epoch)
    row = {"epoch": epoch, "update": epoch * evaluation.epoch_updates, evaluation.family.metric.__name__: estimate}
    for name, found in scores.items():
        row[name] = found["value"]
        if "standard_deviation" in found:
            row[f"{name}_standard_deviation"] = found["standard_deviation"]
    return row


def sentence(found: RankCorrelation | None, snapshots: int) -> str:
    """What the correlation supports, and no more."""
    if found is None:
        return f"{snapshots} trained snapshots are too few for a rank correlation of the critic's estimate with FID"
    numbers = (
        f"Spearman's rho {found.value:.2f}, 95 % interval {found.low:.2f} to {found.high:.2f}, {snapshots} snapshots"
    )
    if found.low > 0:
        return f"the critic's estimate falls where FID falls: both tell progress ({numbers})"
    if found.high < 0:
        return f"the critic's estimate rises where FID falls: FID tells progress, the estimate the reverse ({numbers})"
    return f"the critic's estimate and FID are not seen to move together: only FID tells progress ({numbers})"

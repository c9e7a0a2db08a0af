"""The numbers of a GAN, which has no likelihood: losses and, with a critic, its estimate and FID over training."""

from typing import Any

import torch

from triptych.core.json_files import read_json, write_json
from triptych.core.progress import Progress
from triptych.evaluation.context import Evaluation
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.gan.rank_correlation import (
    SIGNIFICANCE,
    RankCorrelation,
    fewest_for_test,
    rank_correlation,
    smallest_p,
)
from triptych.evaluation.snapshot_scores import SNAPSHOTS, columns
from triptych.evaluation.uint8_images import to_uint8
from triptych.models.gan.family import CriticFamily
from triptych.training.family import Family
from triptych.training.history import write_history
from triptych.training.reproducible import generator

SAMPLES_ARE = "the generator's images"
DEVIATION = "standard_deviation"
CAUTION = "the test treats the snapshots as independent, but those of one training are not"
UNCERTAINTY = ("standard_error", "low", "high")
NOT_DEFINED = dict.fromkeys(("elbo", "log_likelihood", "bits_per_dimension"), "a GAN has no density")


@torch.no_grad()
def measure(evaluation: Evaluation) -> dict[str, object]:
    """Return the results of `Family.validate` on validation and test images: losses, and accuracy or estimate.

    With a critic, the result includes `over_training`: FID, KID and IS of every snapshot's samples, and their
    correlation with the critic's estimate (M2.7b to d).
    """
    losses = {split: evaluation.family.validate(images) for split, images in evaluation.splits.items()}
    if isinstance(evaluation.family, CriticFamily):
        return {**losses, "over_training": _critic_progress(evaluation)}
    return losses


def _critic_progress(evaluation: Evaluation) -> dict[str, Any]:
    """Score the samples of every trained snapshot, all from the same latents; write the scores to `snapshots.csv`.

    Return the scores of the last snapshot and of the snapshot with the lowest FID, both with intervals, and the rank
    correlation of FID with the critic's estimate on validation images, over all these snapshots.
    """
    rows = [_row(evaluation, epoch, scores, DEVIATION) for epoch, scores in _scores(evaluation).items()]
    write_history(evaluation.folder / SNAPSHOTS, rows)
    metric, fid = columns(rows[0])
    found = rank_correlation([row[metric] for row in rows], [row[fid] for row in rows])
    best = min(rows, key=lambda row: row[fid])["epoch"]
    return {
        "snapshots": len(rows),
        "best": _row(evaluation, best, _with_intervals(evaluation, best), DEVIATION, *UNCERTAINTY),
        "last": _row(evaluation, evaluation.last, _final_scores(evaluation), DEVIATION, *UNCERTAINTY),
        "correlation": {
            "snapshots": len(rows),
            **(found._asdict() if found else {}),
            "interval": "95 %, Bonett and Wright (2000), as if snapshots were independent",
            "sentence": sentence(found, len(rows)),
        },
    }


def _scores(evaluation: Evaluation) -> dict[int, dict[str, Any]]:
    """Return the scores by epoch. Finished scores are kept in files, and a second call reads them."""
    epochs = sorted(set(evaluation.snapshots) - {0, evaluation.last})  # an untrained critic estimates nothing
    paths = {epoch: evaluation.partial_results / f"scores-{epoch:04d}.json" for epoch in epochs}
    progress = Progress(evaluation.name, len(paths), sum(path.exists() for path in paths.values()), "snapshots")
    for done, (epoch, path) in enumerate(paths.items(), start=1):
        if not path.exists():
            write_json(path, evaluation.score(_images(evaluation, epoch), intervals=False))
        if progress.due():
            progress.report(done, f"FID after epoch {epoch}")
    progress.finish()
    return {epoch: read_json(path) for epoch, path in paths.items()} | {evaluation.last: _final_scores(evaluation)}


def _images(evaluation: Evaluation, epoch: int) -> torch.Tensor:
    """Return the samples of a snapshot, from the latents of the final model's samples."""

    def sample(family: Family) -> torch.Tensor:
        latents = family.draw_latents(evaluation.fidelity_samples, generator(evaluation.seed, "samples"))
        return family.sample(latents)

    return to_uint8(evaluation.at_epochs(sample, [epoch])[epoch], f"samples of {evaluation.name}")


def _with_intervals(evaluation: Evaluation, epoch: int) -> dict[str, Any]:
    if epoch == evaluation.last:
        return _final_scores(evaluation)
    return evaluation.score(_images(evaluation, epoch), intervals=True)


def _final_scores(evaluation: Evaluation) -> dict[str, Any]:
    names = [name_of(measure, evaluation.fidelity) for measure in ("fid", "kid", "is")]
    return {name: evaluation.fidelity[name] for name in names}


def _row(evaluation: Evaluation, epoch: int, scores: dict[str, Any], *others: str) -> dict[str, float]:
    """Return the epoch and update of a snapshot, the critic's estimate on validation images, and its scores.

    `others` are keys of the scores besides the value.
    """
    estimate = next(row["valid_metric"] for row in evaluation.history if row["epoch"] == epoch)
    row = {"epoch": epoch, "update": epoch * evaluation.epoch_updates, evaluation.family.metric.__name__: estimate}
    for name, found in scores.items():
        row |= {name: found["value"], **{f"{name}_{key}": found[key] for key in others if key in found}}
    return row


def sentence(found: RankCorrelation | None, snapshots: int) -> str:
    """Return the conclusion that the permutation test of the correlation supports."""
    fewest = fewest_for_test()
    if snapshots < fewest:
        count = "1 trained snapshot is" if snapshots == 1 else f"{snapshots} trained snapshots are"
        return (
            f"{count} too few to test whether the critic's estimate follows FID: p cannot be "
            f"below {smallest_p(snapshots):.2g}, and p < {SIGNIFICANCE:g} needs {fewest} or more"
        )
    if found is None:
        return "the rank correlation of the critic's estimate with FID is not defined, since one of them is constant"
    numbers = (
        f"Spearman's rho {found.value:.2f}, p = {found.p:.2g} by a permutation test, {snapshots} trained snapshots"
    )
    if found.p >= SIGNIFICANCE:
        return f"these snapshots do not show whether the critic's estimate follows FID ({numbers})"
    if found.value > 0:
        return f"the critic's estimate falls when FID falls ({numbers}); {CAUTION}"
    return f"the critic's estimate rises when FID falls ({numbers}); {CAUTION}"

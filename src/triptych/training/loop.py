"""The training loop of every family.

A family provides its networks, one parameter group per optimiser (a GAN has two players), and `step`, one update from
one batch. Order, seeds, schedule, clipping, averaging, validation, snapshots and checkpoints are common to all.
"""

from __future__ import annotations

from functools import partial

from triptych.core.errors import DivergenceError
from triptych.core.progress import Progress
from triptych.core.tracker import Tracker
from triptych.training import distributed
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import History
from triptych.training.images import HeldOutImages, TrainingImages
from triptych.training.reproducible import seeded
from triptych.training.resume import ResumableRun, copy_tensors
from triptych.training.trainer import Trainer
from triptych.training.weights import save_tensors


def fit(
    trainer: Trainer,
    *,
    images: TrainingImages,
    held_out: HeldOutImages,
    checkpoints: CheckpointFolder,
    tracker: Tracker,
) -> History:
    """Train to the last epoch, from the last checkpoint if there is one. Return the history, one row per epoch.

    Row 0 describes the untrained model. Snapshots are saved in the checkpoint folder. If several processes train the
    model, rank 0 writes all files. Raises DivergenceError, with the place, if a loss is not finite, too large
    or constant, or if a validation number is not finite.
    """
    epochs, snapshots = trainer.duration.epochs, trainer.duration.snapshots(trainer.family.first_snapshot)
    is_writer = distributed.rank() == 0
    run = ResumableRun(
        trainer.name, checkpoints, tracker, unit="epoch", total=epochs, interval=trainer.runtime.checkpoint_seconds
    )
    run.restore(partial(copy_tensors, trainer.state()))
    updates, epoch_images = epochs * trainer.steps(images), trainer.steps(images) * trainer.images_per_step
    seen = max(run.done, 0) * epoch_images
    progress = Progress(trainer.name, epochs * epoch_images, seen, silent=not is_writer)
    for epoch in range(run.done + 1, epochs + 1):
        try:
            row = _run_epoch(trainer, epoch, images, held_out, progress)
        except DivergenceError as error:
            taken = ", ".join(str(at) for at in snapshots if at < epoch)
            place = f"; snapshots after epochs {taken} are in {checkpoints.folder}" if taken else ""
            raise DivergenceError(f"{error}{place}") from None
        run.log({"epoch": epoch, **row})
        if is_writer and epoch in snapshots:
            save_tensors(checkpoints.snapshot(epoch), trainer.snapshot())
        run.save_if_due(trainer.state)
    progress.finish()
    seconds = run.seconds()
    if updates:
        tracker.note(seconds_per_update=seconds / updates)
    tracker.note(train_seconds=seconds, images_per_second=epochs * epoch_images / seconds)
    return run.history


def _run_epoch(
    trainer: Trainer, epoch: int, images: TrainingImages, held_out: HeldOutImages, progress: Progress
) -> dict[str, float]:
    with seeded(trainer.training.seed, "epoch", epoch):
        if epoch:
            row = trainer.train_epoch(epoch, images, progress)
        else:
            row = trainer.untrained_epoch(images, held_out.data.size(held_out.split))
    return {**row, **trainer.validate(epoch, held_out)}

"""The training loop of every family.

A family brings its networks, its parameter groups (one optimiser each: a GAN has two players) and `step`, one update
from one batch. Order, seeds, schedules, clipping, averaging, validation, snapshots and checkpoints are common to all.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from triptych.core.errors import DivergenceError
from triptych.core.progress import Progress
from triptych.training import distributed
from triptych.training.adam import Adam, clipped
from triptych.training.checkpoint import History, Workplace
from triptych.training.cuda_graph import RecordedStep
from triptych.training.ema import Ema
from triptych.training.reproducible import generator, seeded
from triptych.training.weights import save_tensors

if TYPE_CHECKING:
    from collections.abc import Callable

    from triptych.core.tracker import Tracker
    from triptych.training.family import Family
    from triptych.training.images import HeldOutImages, TrainingImages
    from triptych.training.settings import Player, Runtime, TrainingSettings

LARGEST = 1e12  # of a loss: beyond it float32 has no digits left for what a step changes
FINITE_CHECK = 50  # steps between two looks for NaN; looking at every step would make a GPU wait


@dataclass(frozen=True)
class Duration:
    """How long to train."""

    epochs: int
    epoch_updates: int | None = None
    """Updates of an epoch; one pass over the images if None."""
    snapshot_epochs: int | None = None
    """Epochs between two snapshots; before and half way through training alone if None."""

    def snapshots(self, first: int) -> list[int]:
        """The epochs after which snapshots are taken, from the family's first on; the last epoch's are the weights."""
        if self.snapshot_epochs:
            return list(range(0, self.epochs, self.snapshot_epochs)) or [0]
        return sorted({min(first, self.epochs), (self.epochs + 1) // 2})


class Trainer:
    """One family in training: its optimisers, its averaged weights, and where it stands."""

    def __init__(
        self, name: str, family: Family, experiment: TrainingSettings, duration: Duration, runtime: Runtime
    ) -> None:
        self.name, self.family, self.experiment, self.duration, self.runtime = (
            name,
            family,
            experiment,
            duration,
            runtime,
        )
        self.optimizers = {
            player: Adam(parameters, experiment.betas, self._own(player).weight_decay)
            for player, parameters in family.players().items()
        }
        self.progress = 0.0  # the share of all steps that is done
        self.ema = Ema(family.averaged, experiment.ema) if experiment.ema else None
        self.device = next(family.networks.parameters()).device
        self.on_gpu = self.device.type == "cuda"
        self.rates: dict[str, Tensor] = {}  # what a GPU's step reads, in its memory
        if self.on_gpu:
            self.rates = {player: torch.full((), math.nan, device=self.device) for player in self.optimizers}
        self.recorded: RecordedStep | None = None

    def _own(self, player: str) -> TrainingSettings | Player:
        """Where a player's rate and weight decay are."""
        return self.experiment.players.get(player, self.experiment)

    def evaluated(self) -> object:
        """A context in which the networks carry the weights to judge: the averaged ones where EMA is on."""
        return self.ema.applied() if self.ema else nullcontext()

    def mixed_precision(self) -> torch.autocast:
        """A context for forward passes. Without autocast's cache, which would keep weights from before an update."""
        enabled = self.runtime.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def learning_rate(self, player: str, progress: float) -> float:
        """A player's rate after that share of all steps: constant, or half a cosine to zero.

        The cosine is that of Loshchilov and Hutter 2017, without restarts.
        """
        factor = 1.0 if self.experiment.schedule == "constant" else (1 + math.cos(math.pi * progress)) / 2
        return self._own(player).learning_rate * factor

    def update(self, player: str, loss: Tensor) -> None:
        """One optimiser step of one player on its loss; only its own parameters receive gradients."""
        optimizer = self.optimizers[player]
        with torch.autocast(self.device.type, enabled=False):
            gradients = distributed.averaged(torch.autograd.grad(loss, optimizer.parameters))
        if self.experiment.gradient_clip:
            gradients = clipped(gradients, self.experiment.gradient_clip)
        rate = self.rates[player] if self.on_gpu else self.learning_rate(player, self.progress)
        optimizer.step(gradients, rate)

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """One step of the family, on a GPU as a graph where the family's steps are all alike."""
        if not self.on_gpu:
            return self._step(batch)
        for player, rate in self.rates.items():
            rate.fill_(self.learning_rate(player, self.progress))
        if not (self.runtime.cuda_graphs and self.family.recordable and distributed.size() == 1):
            return self._step(batch)
        if self.recorded is None:
            self.recorded = RecordedStep(self._step, batch, self.state().values())
        return self.recorded(batch)

    def _step(self, batch: Tensor) -> dict[str, Tensor]:
        with self.mixed_precision():
            return self.family.step(batch, self.update)

    def state(self) -> dict[str, Tensor]:
        """Everything that the next epoch depends on, by name."""
        tensors = {f"networks/{name}": value for name, value in self.family.networks.state_dict().items()}
        if self.ema:
            tensors |= {f"ema/{name}": value for name, value in self.ema.shadow.items()}
        for player, optimizer in self.optimizers.items():
            tensors |= {f"optimizer/{player}/{name}": value for name, value in optimizer.state().items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Take over what `state` returned."""

        def part(prefix: str) -> dict[str, Tensor]:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}

        self.family.networks.load_state_dict(part("networks/"))
        if self.ema:
            for name, value in part("ema/").items():
                self.ema.shadow[name].copy_(value)
        for player, optimizer in self.optimizers.items():
            optimizer.restore(part(f"optimizer/{player}/"))

    def steps(self, images: TrainingImages) -> int:
        """Updates in an epoch."""
        return self.duration.epoch_updates or len(images.pixels) // self.step_images

    @property
    def step_images(self) -> int:
        """Images that an update uses up."""
        return self.experiment.batch_size * self.family.batches_a_step

    def train_epoch(self, epoch: int, images: TrainingImages, progress: Progress) -> dict[str, float]:
        """One epoch; the mean of every quantity that `step` returns."""
        steps, epochs = self.steps(images), self.duration.epochs
        totals: list[Tensor] = []
        recent: list[Tensor] = []
        self.family.networks.train()
        order = generator(self.experiment.seed, "order", epoch)
        for step, batch in enumerate(images.batches(self.step_images, steps, order)):
            self.progress = ((epoch - 1) * steps + step) / (epochs * steps)
            self.family.epoch = epoch - 1 + step / steps
            quantities = self.step(batch)
            if self.ema:
                self.ema.update((epoch - 1) * steps + step + 1)
            recent.append(torch.stack([value.float() for value in quantities.values()]))
            if len(recent) == FINITE_CHECK or step + 1 == steps:
                (found,) = distributed.averaged([torch.stack(recent)])
                self._refuse_divergence(found, epoch, (epoch - 1) * steps + step + 1, batch)
                totals.append(found.sum(0))
                recent = []
            if progress.due():
                loss = float(next(iter(quantities.values())))
                seen = ((epoch - 1) * steps + step + 1) * self.step_images
                progress.report(seen, f"epoch {epoch}/{epochs}  loss {loss:,.3f}")
        means = torch.stack(totals).sum(0) / steps
        return {f"train_{name}": value for name, value in zip(quantities, means.tolist(), strict=True)}

    def untrained_epoch(self, images: TrainingImages, count: int) -> dict[str, float]:
        """What `train_epoch` would report of `count` training images if no weight moved: the first point of a curve."""
        steps = max(1, min(self.steps(images), min(count, len(images.pixels)) // self.step_images))
        before = {name: value.clone() for name, value in self.family.networks.state_dict().items()}
        self.family.networks.train()
        totals: dict[str, float] = {}
        for batch in images.batches(self.step_images, steps, generator(self.experiment.seed, "order", 0)):
            for name, value in self.family.step(batch, lambda player, loss: None).items():
                totals[f"train_{name}"] = totals.get(f"train_{name}", 0.0) + float(value) / steps
        self.family.networks.load_state_dict(before)
        return distributed.averaged_row(totals, self.device)

    def _refuse_divergence(self, quantities: Tensor, epoch: int, last_step: int, batch: Tensor) -> None:
        """Raise DivergenceError if one of the quantities (steps, n) is beyond all bounds, or if none moves any more."""
        first_step = last_step - len(quantities) + 1
        advice = f"lower experiments.{self.name}.learning_rate or set its gradient_clip"
        bad = (~(quantities.abs() < LARGEST)).nonzero().tolist()
        if bad:
            step, column = bad[0]
            value = float(quantities[step, column])
            found = f"{value:.2g}" if math.isfinite(value) else "not finite"
            raise DivergenceError(
                f"{self.name} diverged: the loss is {found} at step {first_step + step:,} (epoch {epoch})"
                f"{self.family.culprit(batch)}; {advice}"
            )
        if len(quantities) == FINITE_CHECK and bool((quantities == quantities[0]).all()):
            raise DivergenceError(
                f"{self.name} diverged: its networks are dead, the loss is {float(quantities[0, 0]):g} for every batch "
                f"from step {first_step:,} to {last_step:,} (epoch {epoch}); {advice}"
            )

    def validate(self, epoch: int, images: HeldOutImages) -> dict[str, float]:
        """The family's numbers on held-out images, from the same noise at every epoch."""
        self.family.networks.eval()
        with self.evaluated(), torch.no_grad(), seeded(self.experiment.seed, "validation"):
            row = {f"valid_{name}": value for name, value in self.family.validate(images).items()}
        for name, value in row.items():
            if not math.isfinite(value):
                raise DivergenceError(f"{self.name} diverged: {name} is {value} after epoch {epoch}")
        return row

    def weights(self) -> dict[str, Tensor]:
        """The weights to keep, copied: those to judge."""
        with self.evaluated():
            return {name: value.clone() for name, value in self.family.networks.state_dict().items()}

    def snapshot(self) -> dict[str, Tensor]:
        """The weights to sample from, copied."""
        with self.evaluated():
            return {name: value.clone() for name, value in self.family.averaged.state_dict().items()}


def fit(
    trainer: Trainer,
    *,
    images: TrainingImages,
    held_out: HeldOutImages,
    workplace: Workplace,
    tracker: Tracker,
    clock: Callable[[], float],
) -> History:
    """Train to the last epoch, from the last checkpoint if there is one; return the history, one row an epoch.

    Row 0 is the model before its first step. Snapshots are left in the workplace. Of several processes all do the same
    work on the same weights, and the first alone writes and speaks. Raises DivergenceError, which says where, if a loss
    or a number on held-out images is not finite.
    """
    epochs, snapshots = trainer.duration.epochs, trainer.duration.snapshots(trainer.family.first_snapshot)
    checkpoint, first = workplace.load(), distributed.rank() == 0
    distributed.meet()  # before the first one replaces the checkpoint
    earlier = 0.0
    if checkpoint:
        done, tensors, history, earlier = checkpoint
        trainer.restore(tensors)
        tracker.resume(list(history))
        tracker.say(f"{trainer.name}: going on after epoch {done} of {epochs}")
    else:
        done, history = -1, []
    epoch_images = trainer.steps(images) * trainer.step_images
    progress = Progress(trainer.name, epochs * epoch_images, max(done, 0) * epoch_images, silent=not first)
    saved = clock()
    for epoch in range(done + 1, epochs + 1):
        try:
            row = _one_epoch(trainer, epoch, images, held_out, progress)
        except DivergenceError as error:
            taken = [at for at in snapshots if at < epoch]
            if not taken:
                raise
            raise DivergenceError(
                f"{error}; its snapshots after epochs {', '.join(map(str, taken))} are in {workplace.folder}"
            ) from None
        history.append({"epoch": epoch, **row})
        tracker.log(epoch, history[-1])
        if first and epoch in snapshots:
            save_tensors(workplace.snapshot(epoch), trainer.snapshot())
        due = workplace.orphaned if epoch == epochs else clock() - saved >= trainer.runtime.checkpoint_seconds
        if first and due:
            workplace.save(epoch, trainer.state(), history, earlier + progress.seconds())
            saved = clock()
    seconds = earlier + progress.finish()
    updates = epochs * trainer.steps(images)
    if updates:
        tracker.note(seconds_per_update=seconds / updates)
    tracker.note(train_seconds=seconds, images_per_second=epochs * epoch_images / seconds)
    return history


def _one_epoch(
    trainer: Trainer, epoch: int, images: TrainingImages, held_out: HeldOutImages, progress: Progress
) -> dict[str, float]:
    with seeded(trainer.experiment.seed, "epoch", epoch):
        if epoch:
            row = trainer.train_epoch(epoch, images, progress)
        else:
            row = trainer.untrained_epoch(images, held_out.data.size(held_out.split))
    return {**row, **trainer.validate(epoch, held_out)}

"""One family in training: its optimisers, its averaged weights, and one epoch of updates or of validation."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from triptych.core.errors import DivergenceError
from triptych.core.progress import Progress
from triptych.training import distributed
from triptych.training.cuda_graph import GraphedStep
from triptych.training.divergence import CHECK_STEPS, divergence, find_divergence
from triptych.training.ema import Ema
from triptych.training.family import Family
from triptych.training.images import HeldOutImages, TrainingImages
from triptych.training.learning_rate import decay, learning_rate
from triptych.training.optimizers import Adam, clipping_divisor
from triptych.training.reproducible import generator, seeded
from triptych.training.settings import Player, Runtime, TrainingSettings


@dataclass(frozen=True)
class Duration:
    """The length of a training, and the epochs of its snapshots."""

    epochs: int
    epoch_updates: int | None = None
    """Updates per epoch; None stands for one pass over the images."""
    snapshot_epochs: int | None = None
    """Epochs between two snapshots; None stands for one snapshot at the start and one half way."""

    def snapshots(self, first: int) -> list[int]:
        """Return the epochs after which snapshots are taken. `first` is the family's epoch of the first snapshot.

        The last epoch needs no snapshot: its weights are the result. A training of one epoch or none may have one, too.

        >>> Duration(epochs=40).snapshots(first=1), Duration(epochs=8, snapshot_epochs=2).snapshots(first=0)
        ([1, 20], [0, 2, 4, 6])
        """
        if self.snapshot_epochs:
            return list(range(0, self.epochs, self.snapshot_epochs)) or [0]
        return sorted({min(first, self.epochs), (self.epochs + 1) // 2})


class Trainer:
    """One family in training. `training` holds the experiment's training settings."""

    def __init__(
        self, name: str, family: Family, training: TrainingSettings, duration: Duration, runtime: Runtime
    ) -> None:
        self.name, self.family, self.duration = name, family, duration
        self.training, self.runtime = training, runtime
        self.optimizers = {
            player: Adam(parameters, training.betas, self._settings_of(player).weight_decay)
            for player, parameters in family.players().items()
        }
        self.fraction_done = 0.0
        """The share of all updates that is done."""
        self.completed_epochs = 0
        self.ema = Ema(family.averaged, training.ema) if training.ema else None
        self.device = next(family.networks.parameters()).device
        self.on_gpu = self.device.type == "cuda"
        self.gpu_rates = {player: torch.full((), math.nan, device=self.device) for player in self.optimizers}
        """Learning rates in a GPU's memory, which a graphed step reads."""
        self.graphed_step: GraphedStep | None = None

    def train_epoch(self, epoch: int, images: TrainingImages, progress: Progress) -> dict[str, float]:
        """Train for one epoch. Return the mean over its steps of each quantity that the family's `step` returns.

        Raises DivergenceError, at most CHECK_STEPS steps later, if a quantity is not finite or too large, or
        if all quantities stay equal for CHECK_STEPS steps.
        """
        steps, first = self.steps(images), (epoch - 1) * self.steps(images)
        totals: list[Tensor] = []
        recent: list[Tensor] = []
        self.family.networks.train()
        self.completed_epochs = epoch - 1
        order = generator(self.training.seed, "order", epoch)
        for step, batch in enumerate(images.batches(self.images_per_step, steps, order)):
            self.fraction_done = (first + step) / (self.duration.epochs * steps)
            self.family.epoch = epoch - 1 + step / steps
            quantities = self.step(batch)
            if self.ema:
                self.ema.update(first + step + 1)
            recent.append(torch.stack([value.float() for value in quantities.values()]))
            if len(recent) == CHECK_STEPS or step + 1 == steps:
                (values,) = distributed.averaged([torch.stack(recent)])
                self._refuse_divergence([*quantities], values, epoch, first + step + 2 - len(recent), batch)
                totals.append(values.sum(0))
                recent = []
            if progress.due():
                loss = float(next(iter(quantities.values())))
                seen = (first + step + 1) * self.images_per_step
                progress.report(seen, f"epoch {epoch}/{self.duration.epochs}", f"loss {loss:,.3f}")
        means = torch.stack(totals).sum(0) / steps
        return {f"train_{name}": value for name, value in zip(quantities, means.tolist(), strict=True)}

    def untrained_epoch(self, images: TrainingImages, count: int) -> dict[str, float]:
        """Return the numbers of `train_epoch` on about `count` training images, without an update of the weights."""
        steps = max(1, min(self.steps(images), min(count, len(images.pixels)) // self.images_per_step))
        before = _copied(self.family.networks)
        self.family.networks.train()
        totals: dict[str, float] = {}
        for batch in images.batches(self.images_per_step, steps, generator(self.training.seed, "order", 0)):
            for name, value in self.family.step(batch, lambda player, loss: None).items():
                totals[f"train_{name}"] = totals.get(f"train_{name}", 0.0) + float(value) / steps
        self.family.networks.load_state_dict(before)
        return distributed.averaged_row(totals, self.device)

    def validate(self, epoch: int, images: HeldOutImages) -> dict[str, float]:
        """Return the family's numbers on held-out images, with the same noise at every epoch.

        Raises DivergenceError if a number is not finite.
        """
        self.family.networks.eval()
        with self.averaged_weights(), torch.no_grad(), seeded(self.training.seed, "validation"):
            try:
                row = {f"valid_{name}": value for name, value in self.family.validate(images).items()}
            except DivergenceError as error:
                raise divergence(self.name, f"{error}, after epoch {epoch}") from None
        for name, value in row.items():
            if not math.isfinite(value):
                raise divergence(self.name, f"{name} is {value} after epoch {epoch}")
        return row

    def _refuse_divergence(
        self, names: list[str], quantities: Tensor, epoch: int, first_step: int, batch: Tensor
    ) -> None:
        problem = find_divergence(names, quantities, first_step)
        if problem:
            raise divergence(self.name, f"{problem} (epoch {epoch}){self.family.first_non_finite_layer(batch)}")

    def step(self, batch: Tensor) -> dict[str, Tensor]:
        """Make one step of the family: on a GPU as a CUDA graph, if all its steps do the same work."""
        if not self.on_gpu:
            return self._step(batch)
        for player, rate in self.gpu_rates.items():
            rate.fill_(self.learning_rate(player))
        if not (self.runtime.cuda_graphs and self.family.can_be_graphed and distributed.world_size() == 1):
            return self._step(batch)
        if self.graphed_step is None:
            self.graphed_step = GraphedStep(self._step, batch, self.state().values())
        return self.graphed_step(batch)

    def _step(self, batch: Tensor) -> dict[str, Tensor]:
        with self.mixed_precision():
            return self.family.step(batch, self.update)

    def mixed_precision(self) -> torch.autocast:
        """Return a context for forward passes. Autocast's cache is off: it would keep weights from before an update."""
        enabled = self.runtime.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled, cache_enabled=False)

    def update(self, player: str, loss: Tensor) -> None:
        """Make one optimiser step of one player on its loss. Only its own parameters receive gradients."""
        optimizer = self.optimizers[player]
        with torch.autocast(self.device.type, enabled=False):
            gradients = distributed.averaged(torch.autograd.grad(loss, optimizer.parameters))
        largest = self.training.gradient_clip
        divisor = clipping_divisor(gradients, largest) if largest else None
        rate = self.gpu_rates[player] if self.on_gpu else self.learning_rate(player)
        optimizer.step(gradients, rate, divisor)

    def learning_rate(self, player: str) -> float:
        """Return a player's learning rate at the next update."""
        rate = learning_rate(self._settings_of(player).learning_rate, self.training.schedule, self.fraction_done)
        decays = self.training.learning_rate_decay
        return rate * decay(decays.factor, decays.epochs, self.completed_epochs) if decays else rate

    def _settings_of(self, player: str) -> TrainingSettings | Player:
        return self.training.players.get(player, self.training)

    def steps(self, images: TrainingImages) -> int:
        """Return the number of updates per epoch."""
        return self.duration.epoch_updates or len(images.pixels) // self.images_per_step

    @property
    def images_per_step(self) -> int:
        """Images that one update uses."""
        return self.training.batch_size * self.family.batches_per_step

    def averaged_weights(self) -> AbstractContextManager[None]:
        """Return a context in which the networks have the weights to evaluate: with EMA, the averaged ones."""
        return self.ema.applied() if self.ema else nullcontext()

    def weights(self) -> dict[str, Tensor]:
        """Return a copy of the weights to evaluate."""
        with self.averaged_weights():
            return _copied(self.family.networks)

    def snapshot(self) -> dict[str, Tensor]:
        """Return a copy of the weights to sample from."""
        with self.averaged_weights():
            return _copied(self.family.averaged)

    def state(self) -> dict[str, Tensor]:
        """Return, by name and not copied, all tensors that the next epoch depends on."""
        tensors = {f"networks/{name}": value for name, value in self.family.networks.state_dict().items()}
        if self.ema:
            tensors |= {f"ema/{name}": value for name, value in self.ema.shadow.items()}
        for player, optimizer in self.optimizers.items():
            tensors |= {f"optimizer/{player}/{name}": value for name, value in optimizer.state().items()}
        return tensors


def _copied(module: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in module.state_dict().items()}

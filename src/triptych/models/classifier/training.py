"""The training loop of a classifier."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import OneCycleLR

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.progress import Progress
from triptych.core.tracker import Tracker
from triptych.data.augmentation import shift_and_mirror, shift_images
from triptych.data.image_shapes import CLASSES
from triptych.data.prepared import PreparedData
from triptych.models.classifier.network import ClassifierNetwork
from triptych.models.classifier.settings import Classifier
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import History
from triptych.training.reproducible import generator, seeded
from triptych.training.resume import ResumableRun
from triptych.training.weights import with_prefix


@dataclass(frozen=True)
class LabelledImages:
    """Images uint8 (n, ...) of one split, and their classes (n,)."""

    pixels: Tensor
    labels: Tensor

    @classmethod
    def load(cls, data: PreparedData, split: str, device: torch.device) -> LabelledImages:
        """Load one split of a prepared data set onto the device."""
        pixels, labels = torch.from_numpy(data.images(split)), torch.from_numpy(data.labels(split)).long()
        if labels.max() >= CLASSES:
            words = f"the {split} images of {data.name} have the label {int(labels.max())}, but a classifier knows 0 to"
            raise TriptychError(f"{words} {CLASSES - 1}: use fewer classes, or an entry of references")
        return cls(pixels.to(device), labels.to(device))


def fit_classifier(
    name: str,
    trainer: ClassifierTrainer,
    *,
    held_out: LabelledImages,
    checkpoints: CheckpointFolder,
    checkpoint_seconds: float,
    tracker: Tracker,
) -> History:
    """Train to the last epoch, from the last checkpoint if there is one. Return the history, one row per epoch.

    Row 0 describes the untrained network. Raises DivergenceError if the loss is not finite.
    """
    epochs, count = trainer.epochs, len(trainer.images.pixels)
    run = ResumableRun(
        f"classifier-{name}", checkpoints, tracker, unit="epoch", total=epochs, interval=checkpoint_seconds
    )
    run.restore(trainer.restore)
    if run.done < 0:
        run.log({"epoch": 0, "valid_accuracy": accuracy(trainer.network, held_out)})
    trainer.start_schedule(run.done)
    progress = Progress(run.name, epochs * count, run.done * count)
    for epoch in range(run.done + 1, epochs + 1):
        loss = trainer.train_epoch(epoch, progress)
        if not math.isfinite(loss):
            raise DivergenceError(f"{run.name} diverged: lower classifiers.{name}.learning_rate")
        run.log({"epoch": epoch, "train_loss": loss, "valid_accuracy": accuracy(trainer.network, held_out)})
        run.save_if_due(trainer.state)
    progress.finish()
    seconds = run.seconds()
    tracker.note(train_seconds=seconds, images_per_second=epochs * count / seconds)
    return run.history


def accuracy(network: ClassifierNetwork, images: LabelledImages) -> float:
    """Return the share of images whose class the network predicts."""
    return int((network.label(images.pixels) == images.labels).sum()) / len(images.labels)


class ClassifierTrainer:
    """A classifier in training: its optimiser, its learning-rate schedule, and one epoch."""

    def __init__(
        self, network: ClassifierNetwork, settings: Classifier, epochs: int, images: LabelledImages, precision: str
    ) -> None:
        self.network, self.settings, self.epochs, self.images = network, settings, epochs, images
        self.mixed_precision = torch.autocast(images.pixels.device.type, torch.bfloat16, enabled=precision == "bf16")
        self.steps = len(images.pixels) // settings.batch_size
        self.optimizer = _optimizer(settings, network)

    def start_schedule(self, done: int) -> None:
        """Set the learning rate of the one-cycle schedule (Smith and Topin 2019) after `done` epochs."""
        largest, total = self.settings.learning_rate, max(self.epochs * self.steps, 1)
        self.schedule = OneCycleLR(self.optimizer, largest, total_steps=total)
        if done:
            self.schedule = OneCycleLR(self.optimizer, largest, total_steps=total, last_epoch=done * self.steps - 1)

    def train_epoch(self, epoch: int, progress: Progress) -> float:
        """Train for one epoch. Return the mean loss in nats per image."""
        pixels, labels, size = self.images.pixels, self.images.labels, self.settings.batch_size
        total = torch.zeros((), device=pixels.device)
        order = generator(self.settings.seed, "order", epoch)
        self.network.train()
        with seeded(self.settings.seed, "epoch", epoch):
            batches = torch.randperm(len(pixels), generator=order).to(pixels.device).split(size)[: self.steps]
            for step, batch in enumerate(batches):
                with self.mixed_precision:
                    logits = self.network(_augmented(pixels.index_select(0, batch), self.settings))
                loss = cross_entropy(logits.float(), labels[batch])
                self.optimizer.zero_grad()
                loss.backward()
                self.optimizer.step()
                self.schedule.step()
                total += loss.detach()
                if progress.due():
                    seen = (epoch - 1) * len(pixels) + (step + 1) * size
                    progress.report(seen, f"epoch {epoch}/{self.epochs}", f"loss {loss.item():,.3f}")
        return float(total) / self.steps

    def state(self) -> dict[str, Tensor]:
        """Return, by name, all tensors that the next epoch depends on."""
        tensors = {f"network/{name}": value for name, value in self.network.state_dict().items()}
        for index, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{name}": value for name, value in state.items()}
        return tensors

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Copy the tensors that `state` returned."""
        self.network.load_state_dict(with_prefix("network/", tensors))
        state: dict[int, dict[str, Tensor]] = {}
        for index, parameter in enumerate(self.optimizer.param_groups[0]["params"]):
            values = with_prefix(f"optimizer/{index}/", tensors)
            state[index] = {name: _in_memory_format_of(parameter, value) for name, value in values.items()}
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})


def _optimizer(settings: Classifier, network: ClassifierNetwork) -> torch.optim.Optimizer:
    rate, decay = settings.learning_rate, settings.weight_decay
    if settings.optimizer == "adam":
        return torch.optim.Adam(network.parameters(), lr=rate, weight_decay=decay, fused=True)
    momentum = 0.95  # `OneCycleLR` sets it, too; without one, SGD refuses `nesterov`
    return torch.optim.SGD(
        network.parameters(), lr=rate, weight_decay=decay, momentum=momentum, nesterov=True, fused=True
    )


def _augmented(pixels: Tensor, settings: Classifier) -> Tensor:
    if settings.augmentation == "shift_and_mirror":
        return shift_and_mirror(pixels, settings.max_shift)
    rows, columns = torch.randint(-settings.max_shift, settings.max_shift + 1, (2,)).tolist()
    return shift_images(pixels, rows, columns)


def _in_memory_format_of(parameter: Tensor, value: Tensor) -> Tensor:
    """Return the value in the parameter's memory format, as fused optimisers need it. Step counts stay unchanged."""
    return torch.empty_like(parameter).copy_(value) if value.shape == parameter.shape else value

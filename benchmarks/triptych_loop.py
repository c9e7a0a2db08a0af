"""The training loop of `triptych train`, a given number of updates at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.progress import Progress
from triptych.stages.train import build_family
from triptych.training.images import TrainingImages
from triptych.training.reproducible import deterministic, seeded
from triptych.training.trainer import Duration, Trainer

if TYPE_CHECKING:
    from triptych.data.prepared import PreparedData
    from triptych.settings.params import Settings

EPOCHS = 40  # the duration that the learning-rate schedule assumes


class TriptychLoop:
    """The training of an experiment, built as the stage `train` builds it."""

    def __init__(self, settings: Settings, name: str, data: PreparedData, profile: str) -> None:
        self.name, self.experiment, self.runtime = name, settings.experiment(name).at(profile), settings.runtime
        self.model = self.experiment.model_at(profile)
        with deterministic(self.runtime) as device:
            self.family = build_family(settings.experiment(name), profile, self.runtime, data, device)
            self.images = TrainingImages.load(
                data, device, self.experiment.max_shift, on_device=self.runtime.data_on_device
            )
            with seeded(self.experiment.seed, "initialisation from data"):
                self.family.initialise(self.images.pixels.to(device))
            self.trainer = Trainer(name, self.family, self.experiment, Duration(EPOCHS), self.runtime)

    @property
    def images_per_step(self) -> int:
        return self.trainer.images_per_step

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.family.networks.parameters())

    def run(self, steps: int) -> dict[str, float]:
        """Run updates as one epoch; return its means."""
        self.trainer.duration = Duration(EPOCHS, epoch_updates=steps)
        progress = Progress(self.name, steps * self.images_per_step, 0)
        with deterministic(self.runtime), seeded(self.experiment.seed, "epoch", 1):
            return self.trainer.train_epoch(1, self.images, progress)

"""Random numbers: new ones where training and data need new ones, the same ones where results must repeat."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conftest import Recorder
from test_vae import SHAPE, vae
from triptych.core.progress import Progress
from triptych.core.tracker import Console
from triptych.data.raw_images import ImageSet, write_raw
from triptych.data.settings import Dataset
from triptych.evaluation.vae import importance
from triptych.models.classifier.training import ClassifierTrainer, LabelledImages
from triptych.settings.params import Settings
from triptych.stages.prepare import prepare
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.family import Family, Update
from triptych.training.images import TrainingImages
from triptych.training.loop import fit
from triptych.training.reproducible import deterministic
from triptych.training.trainer import Duration, Trainer

COUNT, BATCH, EPOCHS = 12, 2, 3
HELD_OUT = SimpleNamespace(split="valid", data=SimpleNamespace(size=lambda split: COUNT))


class Recording(Family):
    """Keeps the images of each step, and a random number of each step and each validation."""

    def __init__(self) -> None:
        self.networks = nn.BatchNorm1d(1)
        self.images: list[list[int]] = []
        self.noise: list[float] = []
        self.validation_noise: list[float] = []

    def step(self, pixels: Tensor, update: Update) -> dict[str, Tensor]:
        self.images.append(pixels.flatten().tolist())
        self.noise.append(float(torch.rand(())))
        loss = self.networks(pixels.view(-1, 1).float()).square().mean() + self.noise[-1]
        update("model", loss)
        return {"loss": loss.detach()}

    def validate(self, images: object) -> dict[str, float]:
        self.validation_noise.append(float(torch.rand(())))
        return {"loss": self.validation_noise[-1]}

    def decode(self, latents: Tensor) -> Tensor:
        return latents


@pytest.fixture
def trainer(tiny: Settings) -> Trainer:
    training = tiny.experiment("vae-20d").model_copy(update={"batch_size": BATCH})
    return Trainer("r", Recording(), training, Duration(EPOCHS), tiny.runtime)


@pytest.fixture
def images() -> TrainingImages:
    return TrainingImages(torch.arange(COUNT, dtype=torch.uint8).view(-1, 1, 1), torch.device("cpu"), redraws=False)


def test_each_epoch_has_an_order_and_noise_of_its_own(trainer: Trainer, images: TrainingImages, tmp_path: Path) -> None:
    fit(trainer, images=images, held_out=HELD_OUT, checkpoints=CheckpointFolder(tmp_path), tracker=Recorder())
    family, steps = trainer.family, COUNT // BATCH
    starts = range(0, len(family.images), steps)
    orders = [tuple(chain.from_iterable(family.images[start : start + steps])) for start in starts]
    assert len(orders) == EPOCHS + 1, "row 0 is a pass over the images without updates"
    assert all(sorted(order) == list(range(COUNT)) for order in orders)
    assert len(set(orders)) == len(orders)
    assert len(set(family.noise)) == len(family.noise) == len(orders) * steps


def test_every_validation_has_the_same_noise(trainer: Trainer, images: TrainingImages, tmp_path: Path) -> None:
    fit(trainer, images=images, held_out=HELD_OUT, checkpoints=CheckpointFolder(tmp_path), tracker=Recorder())
    noise = trainer.family.validation_noise
    assert len(noise) == EPOCHS + 1
    assert len(set(noise)) == 1
    assert noise[0] not in trainer.family.noise


def test_measuring_the_untrained_model_does_not_change_it(trainer: Trainer, images: TrainingImages) -> None:
    before = {name: value.clone() for name, value in trainer.family.networks.state_dict().items()}
    trainer.untrained_epoch(images, COUNT)
    after = trainer.family.networks.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


def test_a_training_has_its_threads_and_refuses_kernels_that_do_not_repeat(tiny: Settings) -> None:
    threads = torch.get_num_threads()
    runtime = tiny.runtime.model_copy(update={"threads": threads + 1})
    with deterministic(runtime):
        assert torch.get_num_threads() == threads + 1
        assert torch.get_deterministic_debug_mode() == 2  # raises an error
    assert torch.get_num_threads() == threads
    assert torch.get_deterministic_debug_mode() == 0


def test_a_classifier_sees_each_epoch_in_an_order_of_its_own(tiny: Settings) -> None:
    class Recorded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias, self.seen = nn.Parameter(torch.zeros(10)), []

        def forward(self, pixels: Tensor) -> Tensor:
            self.seen += pixels[:, 0, 0].int().tolist()
            return self.bias.expand(len(pixels), 10)

    settings = tiny.classifier("mnist").model_copy(update={"batch_size": BATCH, "max_shift": 0})
    pixels = torch.arange(COUNT, dtype=torch.uint8).view(-1, 1, 1).expand(-1, 28, 28)
    network = Recorded()
    trainer = ClassifierTrainer(network, settings, EPOCHS, LabelledImages(pixels, torch.arange(COUNT) % 10), "float32")
    trainer.start_schedule(0)
    for epoch in range(1, EPOCHS + 1):
        trainer.train_epoch(epoch, Progress("c", EPOCHS * COUNT, 0))
    orders = {tuple(network.seen[start : start + COUNT]) for start in range(0, EPOCHS * COUNT, COUNT)}
    assert len(orders) == EPOCHS
    assert all(len(set(order)) == COUNT for order in orders)


def test_each_piece_of_an_importance_sampling_has_noise_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importance, "PIECE", 1)
    equal = torch.ones(4, *SHAPE, dtype=torch.uint8)
    found = importance.importance_sampling(vae(0.8), equal, samples=3, seed=0, pieces=tmp_path, name="v")
    assert len(set(found.log_likelihood.tolist())) == 4


def test_each_split_and_purpose_has_noise_of_its_own(tmp_path: Path) -> None:
    sizes = {"train": 30, "valid": 30, "test": 30}
    grey, labels = np.full((60, 28, 28), 128, np.uint8), np.arange(60, dtype=np.uint8) % 10
    arrays = {f"{kind}_{split}": array for split in ("train", "test") for kind, array in (("x", grey), ("y", labels))}
    write_raw(tmp_path / "raw.npz", ImageSet(arrays, "a test", "folder"))
    noise = []
    for change, files in (({"binarization": "static"}, "x_*.npy"), ({"dequantization": "uniform"}, "continuous_*.npy")):
        settings = {"images": "mnist", "seed": 3, "splits": {"quick": sizes, "full": sizes}}
        dataset = Dataset.model_validate(settings | {"binarization": "none", "dequantization": "none"} | change)
        output, splits = tmp_path / files[0], dataset.sizes("quick")
        prepare(name="d", dataset=dataset, splits=splits, raw=tmp_path / "raw.npz", output=output, tracker=Console())
        noise += [np.load(path).astype(float).ravel() for path in sorted(output.glob(files))]
    assert len(noise) == 5, "binary pixels of three splits, dequantised pixels of two"
    correlations = np.corrcoef(noise) - np.eye(len(noise))
    assert abs(correlations).max() < 5 / noise[0].size ** 0.5

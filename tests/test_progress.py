"""Every long piece of work reports how much of it is done, up to the announced total."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from triptych.core.json_files import write_json
from triptych.data import image_files
from triptych.evaluation.fidelity import extractors
from triptych.evaluation.gan import measure
from triptych.evaluation.vae import importance
from triptych.models.classifier.training import ClassifierTrainer, LabelledImages
from triptych.settings.params import Settings
from triptych.training.images import TrainingImages
from triptych.training.trainer import Duration, Trainer

SCORES = {name: {"value": 1.0} for name in ("fid", "kid", "is")}


class Recorder:
    """A Progress that is due at every step."""

    latest: ClassVar[Recorder]

    def __init__(self, name: str, total: int, done: int, unit: str = "images") -> None:
        self.name, self.total, self.done, self.unit = name, total, done, unit
        self.seen: list[int] = []
        self.finished = False
        Recorder.latest = self

    def due(self) -> bool:
        return True

    def report(self, seen: int, place: str, number: str = "") -> None:
        self.seen.append(seen)
        self.place, self.number = place, number

    def finish(self) -> None:
        self.finished = True


def sample(images: int, pieces: Path) -> None:
    family = SimpleNamespace(
        networks=SimpleNamespace(encode=lambda images: images),
        sampled_terms=lambda images, posterior, draws: (torch.zeros(len(images), draws),) * 2,
    )
    pixels = torch.zeros(images, 1, 1)
    importance.importance_sampling(family, pixels, samples=3, seed=0, pieces=pieces, name="vae")


def continue_sampling(folder: Path, there: int) -> None:
    sample(1100, folder)
    for path in sorted(folder.glob("importance-*"))[there:]:
        path.unlink()
    sample(1100, folder)


def extract(_: Path) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(()))

        def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return images.float(), images.float()

    found = extractors.Extractor(Network(), "classifier", "net", "").extract(torch.zeros(250, 4, dtype=torch.uint8))
    assert {name: values.shape for name, values in found.items()} == {"features": (250, 4), "logits": (250, 4)}


def read_png(folder: Path) -> None:
    (folder / "digits").mkdir()
    for index in range(3):
        Image.fromarray(np.full((28, 28), 90 * index, np.uint8)).save(folder / "digits" / f"{index}.png")
    assert image_files.read_images(folder / "digits", (28, 28))[:, 0, 0].tolist() == [0, 90, 180]


def score_snapshots(folder: Path) -> None:
    """One of two trained snapshots has been scored before."""
    write_json(folder / "scores-0002.json", SCORES)
    family = SimpleNamespace(draw_latents=lambda count, source: torch.zeros(count, 1), sample=lambda z: z[:, None])
    evaluation = SimpleNamespace(
        name="gan", snapshots=dict.fromkeys((0, 2, 4)), partial_results=folder, fidelity=SCORES, fidelity_samples=5,
        last=6, seed=0, score=lambda images, intervals: {"fid": {"value": float(len(images)), "with": intervals}},
        at_epochs=lambda function, epochs: {epoch: function(family) for epoch in epochs},
    )  # fmt: skip
    scored = {"fid": {"value": 5.0, "with": False}}
    assert measure._scores(evaluation) == {2: SCORES, 4: scored, 6: SCORES}


CASES: dict[str, tuple[Callable[[Path], None], tuple, list[int], str]] = {
    "importance sampling": (
        lambda folder: sample(1100, folder), ("vae", 1100, 0, "images"), [500, 1000, 1100], "3 draws"
    ),
    "after its pieces": (
        lambda folder: continue_sampling(folder, 1), ("vae", 1100, 500, "images"), [1000, 1100], "3 draws"
    ),
    "features": (extract, ("net", 250, 0, "images"), [100, 200, 250], "features"),
    "files": (read_png, ("digits", 3, 0, "images"), [1, 2, 3], "files"),
    "snapshots": (score_snapshots, ("gan", 2, 1, "snapshots"), [1, 2], "epoch 4"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_reports_end_at_the_total(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (importance, extractors, image_files, measure):
        monkeypatch.setattr(module, "Progress", Recorder)
    work, announced, seen, words = CASES[case]
    work(tmp_path)
    found = Recorder.latest
    assert (found.name, found.total, found.done, found.unit) == announced
    assert found.seen == seen
    assert words in found.place
    assert found.finished


def test_a_finished_importance_sampling_has_done_all_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importance, "Progress", Recorder)
    continue_sampling(tmp_path, 3)
    assert (Recorder.latest.done, Recorder.latest.seen) == (1100, [])


def train_model(settings: Settings, progress: Any) -> None:
    experiment = settings.experiment("vae-20d").model_copy(update={"batch_size": 4})
    family = SimpleNamespace(
        networks=nn.Linear(1, 1), averaged=nn.Linear(1, 1), batches_per_step=2, players=lambda: {},
        step=lambda pixels, update: {"loss": torch.tensor(0.25), "kl": torch.tensor(9.0)},
    )  # fmt: skip
    images = TrainingImages(torch.zeros(25, 1, 1, dtype=torch.uint8), torch.device("cpu"), redraws=False)
    Trainer("m", family, experiment, Duration(7), settings.runtime).train_epoch(2, images, progress)


def train_classifier(settings: Settings, progress: Any) -> None:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bias = nn.Parameter(torch.tensor([1.2583, 0.0]))  # log(1 + exp(-1.2583)) = 0.25

        def forward(self, pixels: torch.Tensor) -> torch.Tensor:
            return self.bias.expand(len(pixels), 2)

    classifier = settings.classifier("mnist").model_copy(update={"batch_size": 8, "learning_rate": 1e-9})
    images = LabelledImages(torch.zeros(24, 28, 28, dtype=torch.uint8), torch.zeros(24, dtype=torch.int64))
    trainer = ClassifierTrainer(Network(), classifier, 7, images, "float32")
    trainer.start_schedule(1)
    assert trainer.train_epoch(2, progress) == pytest.approx(0.25, abs=1e-4)


@pytest.mark.parametrize("train", [train_model, train_classifier])
def test_an_epoch_reports_its_place_and_its_loss(tiny: Settings, train: Callable[[Settings, Any], None]) -> None:
    progress = Recorder("m", 7 * 24, 24)
    train(tiny, progress)
    assert progress.seen == [32, 40, 48]
    assert (progress.place, progress.number) == ("epoch 2/7", "loss 0.250")

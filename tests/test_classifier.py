"""Training of a classifier: its accuracies, its speed and its labels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from test_speeds import Notes
from test_stages import run_classifier
from triptych.core.json_files import read_json
from triptych.data.prepared import PreparedData
from triptych.models.classifier.network import ClassifierNetwork, build_classifier, load_classifier
from triptych.models.classifier.settings import Model
from triptych.settings.params import Settings
from triptych.training.history import read_history
from triptych.training.resume import ResumableRun


@torch.no_grad()
def share_of_correct_classes(network: ClassifierNetwork, data: PreparedData, split: str) -> float:
    found = network(torch.from_numpy(data.images(split))).argmax(1)
    return (found.numpy() == data.labels(split)).mean().item()


@pytest.fixture(scope="module")
def trained(tiny: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Notes]:
    """Return the results of a training of two epochs, for which the clock shows eight seconds, and what it noted."""
    folder, notes, classifier = tmp_path_factory.mktemp("trained"), Notes(), tiny.classifier("mnist")
    epochs = classifier.epochs.model_copy(update={"quick": 2})
    short = tiny.model_copy(update={"classifiers": {"mnist": classifier.model_copy(update={"epochs": epochs})}})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableRun, "seconds", lambda self: 8.0)
        run_classifier(short, prepared, folder, "mnist", notes)
    return folder, notes


def test_accuracies_are_those_of_validation_and_test_images(trained: tuple[Path, Notes], prepared: Path) -> None:
    folder, _ = trained
    network = load_classifier(folder / "classifier-mnist", torch.device("cpu"))
    data = PreparedData.open(prepared / "mnist")
    valid, test = (share_of_correct_classes(network, data, split) for split in ("valid", "test"))
    assert valid != test
    found = read_json(folder / "plots" / "classifier-mnist" / "results.json")["accuracy"]
    assert found == {"valid": pytest.approx(valid), "test": pytest.approx(test)}
    assert read_history(folder / "classifier-mnist" / "history.csv")[-1]["valid_accuracy"] == pytest.approx(valid)


def test_the_speed_is_that_of_all_epochs(trained: tuple[Path, Notes]) -> None:
    """Two epochs of 300 images in eight seconds."""
    _, notes = trained
    assert (notes.facts["train_seconds"], notes.facts["images_per_second"]) == (8.0, 75.0)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ({"architecture": "convolutional", "channels": [4, 8], "features": 16}, (28, 28)),
        ({"architecture": "residual", "channels": [4, 4, 8, 8]}, (3, 32, 32)),
    ],
    ids=["convolutional", "residual"],
)
def test_labels_are_without_dropout_and_statistics_of_the_batch(model: dict, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    network = build_classifier(Model(**model, dropout=0.9))
    pixels = torch.randint(0, 256, (150, *shape), dtype=torch.uint8)
    with torch.no_grad():
        network(pixels)  # sets the running statistics
        wanted = network.eval()(pixels).argmax(1)
    network.train()
    assert torch.equal(network.label(pixels), wanted)

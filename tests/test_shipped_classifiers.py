"""The classifiers that ship with the package: files, cards, and that they read digits."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
import torch

from triptych.core.file_names import WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json
from triptych.evaluation.settings import Shipped
from triptych.models.classifier import shipped
from triptych.models.classifier.network import load_classifier
from triptych.models.classifier.settings import SHIPPED
from triptych.models.classifier.shipped import FOLDER, ship_classifier, shipped_folder
from triptych.sources.embedded_images import embedded_images
from triptych.training.weights import load_tensors

LARGEST = {"mnist-v1": 2_000_000, "cifar10-v1": 4_000_000}  # bytes of weights


def test_every_named_classifier_ships() -> None:
    assert {path.name for path in FOLDER.iterdir()} == set(SHIPPED) == set(get_args(Shipped))


def test_the_classifier_of_digits_reads_them() -> None:
    """On all test images, its accuracy is 99.44 %."""
    digits = embedded_images("mnist").arrays
    found = load_classifier(shipped_folder("mnist-v1"), torch.device("cpu")).label(torch.from_numpy(digits["x_test"]))
    assert (found.numpy() == digits["y_test"]).mean() >= 0.985


@pytest.mark.parametrize("name", SHIPPED)
def test_card_and_manifest_agree_with_the_weights(name: str) -> None:
    folder = shipped_folder(name)
    card, manifest = (folder / "README.md").read_text(encoding="utf-8"), read_json(folder / "manifest.json")
    weights = folder / "weights.safetensors"
    assert weights.stat().st_size <= LARGEST[name]
    assert manifest["weights_sha256"] == sha256_of_file(weights)
    assert manifest["extractor"] == name
    for fact in (manifest["weights_sha256"], manifest["data"]["sha256"]):
        assert f"`{fact}`" in card
    network = load_classifier(folder, torch.device("cpu"))
    assert f"{sum(parameter.numel() for parameter in network.parameters()):,} parameters" in card
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())
    shape = manifest["data"]["image_shape"]
    assert network(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, 10)
    features = network.features(torch.zeros(2, *shape, dtype=torch.uint8)).shape[1]
    assert f"{features} " in re.search(r"\| features \| (.*) \|", card)[1]
    assert ("grey" if network.grey else "colour") == SHIPPED[name]


def test_a_trained_classifier_ships_in_half_precision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    original = FOLDER / "mnist-v1"
    ship_classifier(original, "mnist-v2", torch.float16)
    tensors, before = load_tensors(tmp_path / "mnist-v2" / WEIGHTS), load_tensors(original / WEIGHTS)
    assert {values.dtype for values in tensors.values()} == {torch.float16}
    assert all(torch.allclose(tensors[name].float(), before[name], atol=1e-3) for name in before)
    pixels = torch.randint(0, 256, (20, 28, 28), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    networks = [load_classifier(folder, torch.device("cpu")) for folder in (original, tmp_path / "mnist-v2")]
    assert torch.allclose(*(network.features(pixels) for network in networks), rtol=1e-2, atol=1e-2)

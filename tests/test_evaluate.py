"""Parts of the stage `evaluate`, on hand-made images and histories."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from triptych.evaluation.fidelity.extractors import CLASSIFIER_FEATURES, FEATURES
from triptych.stages import evaluate

SIDE, IMAGES = 8, 300


def test_the_curve_has_the_first_validation_metric_and_the_same_in_training(tmp_path: Path) -> None:
    history = [
        {"epoch": epoch, "train_kl": 3.0, "train_elbo": 1.0 / (epoch + 3), "valid_elbo": -0.1 * epoch, "valid_kl": 4.0}
        for epoch in range(3)
    ]
    evaluate._write_curve(tmp_path / "curves.csv", history, "bound, in nats")
    curve = pd.read_csv(tmp_path / "curves.csv")
    assert curve.columns.tolist() == ["epoch", "label", "valid", "train"]
    assert curve["epoch"].tolist() == [0, 1, 2]
    assert set(curve["label"]) == {"bound, in nats"}
    assert curve["valid"].tolist() == [row["valid_elbo"] for row in history]
    assert curve["train"].tolist() == [row["train_elbo"] for row in history]


class FakeClassifier:
    """An extractor whose features are the pixels; it keeps the images."""

    name = "pixels"

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []

    def extract(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        self.given.append(images)
        return {FEATURES: images.flatten(1).float()}


def compare(
    monkeypatch: pytest.MonkeyPatch, pixels: dict[str, np.ndarray], samples: torch.Tensor, *, binary: bool
) -> tuple[dict, np.ndarray]:
    """Return the comparison of samples with images whose features are the pixels, and the samples in the picture."""
    drawn, classifier = [], FakeClassifier()
    monkeypatch.setattr(evaluate, "draw_nearest", lambda *arguments: drawn.append(arguments))
    data = SimpleNamespace(binary=binary, redraws=False, images=pixels.get)
    evaluation = SimpleNamespace(
        name="a", seed=3, folder=None, training=SimpleNamespace(data=data, device=torch.device("cpu"))
    )
    extracted = {CLASSIFIER_FEATURES: classifier.extract(samples)[FEATURES]}
    found = evaluate._copying(evaluation, samples, extracted, SimpleNamespace(classifier=classifier), None)
    [(_, _, shown, training, _)] = drawn
    assert np.array_equal(training, pixels["train"] * (255 if binary else 1))
    return found, shown


def test_the_pixels_of_binary_samples_are_drawn_before_they_are_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data are coin flips, and the model is the true one: each of its means is one half.

    The means are as far from each image as the corner of a cube from its centre, which is nearer than any other corner.
    """
    source = np.random.default_rng(0)
    pixels = {split: source.integers(0, 2, (IMAGES, SIDE, SIDE), dtype=np.uint8) for split in ("train", "test")}
    means = torch.full((IMAGES, SIDE, SIDE), 128, dtype=torch.uint8)
    found, shown = compare(monkeypatch, pixels, means, binary=True)
    assert abs(found["z_score"]) < 3
    assert np.unique(shown).tolist() == [0, 255]
    assert shown.mean() / 255 == pytest.approx(0.5, abs=4 * 0.5 / (IMAGES * SIDE**2) ** 0.5)
    again, shown_again = compare(monkeypatch, pixels, means, binary=True)
    assert again == found
    assert np.array_equal(shown, shown_again)


def test_samples_with_8_bit_pixels_are_compared_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    source = np.random.default_rng(0)
    pixels = {split: source.integers(0, 256, (IMAGES, SIDE, SIDE), dtype=np.uint8) for split in ("train", "test")}
    copies = torch.from_numpy(pixels["train"][:100])
    found, shown = compare(monkeypatch, pixels, copies, binary=False)
    assert found["value"] == 1.0
    assert (found["samples"], found["test_images"], found["training_images"]) == (100, IMAGES, IMAGES)
    assert np.array_equal(shown, copies.numpy())

"""Data-copying: nearest training images, the statistic of Meehan et al. (2020), and the picture of pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.stats import mannwhitneyu, norm

from triptych.data.prepared import PreparedData
from triptych.evaluation.fidelity import copying
from triptych.evaluation.fidelity.copying import (
    CHUNK,
    PICTURE,
    compare_distances,
    draw_nearest,
    measure_copying,
    nearest,
)
from triptych.training.images import HeldOutImages


def points(count: int, seed: int, scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(count, 4, generator=torch.Generator().manual_seed(seed))


def test_nearest_images_equal_a_brute_force_search() -> None:
    features, training = points(CHUNK + 70, 0, 30.0), points(400, 1, 30.0)
    features[7] = training[123]
    found = nearest(features, training)
    distances = (features.double()[:, None] - training.double()).square().sum(2).sqrt()
    assert torch.equal(found.index, distances.argmin(1))
    assert torch.allclose(found.distance.double(), distances.amin(1), rtol=1e-6)
    assert (found.index[7], found.distance[7]) == (123, 0.0)


@pytest.mark.parametrize("levels", [7, 10**9], ids=["ties", "no ties"])
def test_the_statistic_is_that_of_mann_and_whitney(levels: int) -> None:
    rng = np.random.default_rng(levels)
    samples, test = rng.integers(0, levels, 80).astype(float), rng.integers(levels // 5, levels, 130).astype(float)
    found = compare_distances(torch.from_numpy(samples), torch.from_numpy(test))
    expected = mannwhitneyu(test, samples, use_continuity=False, method="asymptotic")
    assert found["value"] == pytest.approx(expected.statistic / (80 * 130), rel=1e-12)
    assert found["value"] > 0.5
    assert found["z_score"] < 0
    if levels > 7:  # SciPy corrects the deviation for ties
        assert found["z_score"] == pytest.approx(-norm.isf(expected.pvalue / 2), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "low", "high", "words"),
    [("copies", 0.99, 1.0, "the model copies"), ("new", 0.45, 0.55, "as far from"), ("far", 0.0, 0.1, "farther from")],
)
def test_copies_are_named(kind: str, low: float, high: float, words: str) -> None:
    """New points of the data's distribution have a share of 0.5, here within two standard errors of 0.013."""
    training, test = points(800, 0), points(900, 1)
    samples = {"copies": training[:700] + points(700, 2, 1e-3), "new": points(1000, 3), "far": points(500, 4, 9.0)}[
        kind
    ]
    found = measure_copying(nearest(samples, training), nearest(test, training), len(training), "a test")
    assert low <= found["value"] <= high
    assert words in found["sentence"]
    if kind == "new":
        assert abs(found["z_score"]) < 2
    assert {key: found[key] for key in ("samples", "test_images", "training_images", "extractor")} == {
        "samples": len(samples), "test_images": 900, "training_images": 800, "extractor": "a test"
    }  # fmt: skip


@pytest.mark.parametrize("shape", [(28, 28), (3, 32, 32)], ids=["grey", "colour"])
def test_the_picture_shows_the_nearest_pairs(
    tmp_path: Path, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    samples, training = (rng.integers(0, 256, (count, *shape), dtype=np.uint8) for count in (30, 50))
    found = nearest(points(30, 0), points(50, 1))
    drawn, draw = [], copying.image_rows
    monkeypatch.setattr(copying, "image_rows", lambda *arguments: drawn.append(arguments) or draw(*arguments))
    draw_nearest(tmp_path, "gan", samples, training, found)
    [(pairs, headings, title, _)] = drawn
    order = np.argsort(found.distance.numpy())[:10]
    assert np.array_equal(pairs, np.stack([samples[order], training[found.index.numpy()[order]]]))
    assert [float(heading) for heading in headings] == pytest.approx(found.distance.numpy()[order], rel=0.01)
    assert title.startswith("The samples of gan")
    with Image.open(tmp_path / PICTURE) as picture:
        assert min(picture.size) > 300


def test_binary_pixels_become_black_and_white(prepared: Path) -> None:
    """Classifiers read 8-bit images."""
    for name, factor in (("binarized_mnist", 255), ("mnist", 1)):
        images = HeldOutImages(PreparedData.open(prepared / name), "test", torch.device("cpu"))
        assert torch.equal(images.eight_bit, images.pixels * factor)
        assert images.eight_bit.max() == 255


def test_the_first_images_of_a_split(prepared: Path) -> None:
    whole, few = (
        HeldOutImages(PreparedData.open(prepared / "mnist"), "test", torch.device("cpu"), limit) for limit in (None, 3)
    )
    assert torch.equal(few.pixels, whole.pixels[:3])
    assert torch.equal(few.continuous, whole.continuous[:3])

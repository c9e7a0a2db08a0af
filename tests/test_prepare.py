"""The prepare stage: splits, binarisation, dequantisation, and reproducible random numbers."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from triptych.core.errors import TriptychError
from triptych.core.tracker import Console
from triptych.data.binarization import stochastic_binarize, threshold_binarize
from triptych.data.dequantization import dequantize, quantize
from triptych.data.prepared import PreparedData
from triptych.data.raw_images import ImageSet, write_raw
from triptych.data.settings import Dataset, Splits
from triptych.data.splits import _refuse_sorted, split_images
from triptych.settings.params import Settings
from triptych.sources.embedded_images import embedded_images
from triptych.stages.prepare import prepare

SIZES = Splits(train=60, valid=20, test=30)


def grey(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    source = np.random.default_rng(seed)
    return {
        "x": source.integers(0, 256, (count, 28, 28), dtype=np.uint8),
        "y": source.permutation(count).astype(np.uint8) % 10,
    }


def raw_file(path: Path, **counts: int) -> dict[str, np.ndarray]:
    arrays = {
        f"{kind}_{split}": array
        for seed, (split, count) in enumerate(counts.items())
        for kind, array in grey(count, seed).items()
    }
    write_raw(path, ImageSet(arrays, "a test", "folder"))
    return arrays


def dataset(**settings: object) -> Dataset:
    both = {"quick": SIZES.model_dump(), "full": SIZES.model_dump()}
    return Dataset.model_validate(
        {"images": "mnist", "binarization": "none", "dequantization": "none", "splits": both, "seed": 3, **settings}
    )


def run(tmp_path: Path, chosen: Dataset, splits: Splits = SIZES) -> PreparedData:
    prepare(name="d", dataset=chosen, splits=splits, raw=tmp_path / "raw.npz", output=tmp_path / "d", tracker=Console())
    return PreparedData.open(tmp_path / "d")


def test_validation_split_is_the_end_of_the_training_images(tmp_path: Path) -> None:
    arrays = raw_file(tmp_path / "raw.npz", train=80, test=30)
    data = run(tmp_path, dataset())
    assert np.array_equal(data.images("train"), arrays["x_train"][:60])
    assert np.array_equal(data.images("valid"), arrays["x_train"][60:])
    assert np.array_equal(data.labels("valid"), arrays["y_train"][60:])
    assert np.array_equal(data.images("test"), arrays["x_test"])


def test_a_random_subset_of_a_large_test_set_is_kept(tmp_path: Path) -> None:
    arrays = raw_file(tmp_path / "raw.npz", train=80, test=300)
    chosen = run(tmp_path, dataset()).images("test")
    where = [int(np.flatnonzero((arrays["x_test"] == image).all((1, 2)))[0]) for image in chosen]
    assert len(set(where)) == 30
    assert max(where) > 200


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    raw_file(tmp_path / "raw.npz", train=70, test=30)
    with pytest.raises(TriptychError, match=r"splits\.train \+ splits\.valid"):
        run(tmp_path, dataset())


def test_sorted_data_is_refused(tmp_path: Path) -> None:
    images = grey(80)["x"]
    arrays = {
        "x_train": images,
        "y_train": np.sort(np.arange(80) % 10).astype(np.uint8),
        "x_test": images,
        "y_test": np.zeros(80, np.uint8),
    }
    write_raw(tmp_path / "raw.npz", ImageSet(arrays, "sorted", "folder"))
    with pytest.raises(TriptychError, match="shuffle"):
        run(tmp_path, dataset())


def test_few_validation_images_need_not_have_half_of_the_classes() -> None:
    _refuse_sorted(np.arange(80) % 10, np.array([1, 2, 3]), "digits")
    with pytest.raises(TriptychError, match="shuffle"):
        _refuse_sorted(np.arange(80) % 10, np.array([9] * 8), "digits")


def test_ten_images_in_random_order_are_a_training_set() -> None:
    """Ten of them need not have all classes of the validation images."""
    arrays = dict(embedded_images("mnist").arrays)
    for seed in range(5):
        pieces = split_images(arrays, Splits(train=10, valid=1000, test=1000), "x", seed=seed)
        assert len(pieces["train"][0]) == 10


@pytest.mark.parametrize("names", [("train",), ("train", "valid", "test")])
def test_the_first_own_images_of_a_split_have_all_classes(names: tuple[str, ...]) -> None:
    """Some measurements use the first images of a split, and own images may be sorted by class."""
    labels = np.repeat(np.arange(4, dtype=np.uint8), 250)
    arrays = {f"{kind}_{split}": labels for kind in "xy" for split in names}
    for images, found in split_images(arrays, None, "own.npz", seed=0, own=True).values():
        assert set(found[:40]) == {0, 1, 2, 3}
        assert np.array_equal(images, found)


@pytest.mark.parametrize(
    ("counts", "problem"),
    [
        ({"train": 8}, "own.npz has 8 train images, but at least 9 are needed"),
        ({"train": 50, "test": 3}, "own.npz has 3 test images, but at least 4 are needed"),
    ],
)
def test_too_few_images_for_a_split_are_refused(counts: dict[str, int], problem: str) -> None:
    arrays = {f"x_{split}": np.zeros(count, np.uint8) for split, count in counts.items()}
    with pytest.raises(TriptychError, match=problem):
        split_images(arrays, None, "own.npz", seed=0)


def test_dequantised_images_stay_in_their_levels_and_repeat(tmp_path: Path) -> None:
    raw_file(tmp_path / "raw.npz", train=80, test=30)
    data = run(tmp_path, dataset(dequantization="uniform"))
    for split in ("valid", "test"):
        noise = data.continuous(split) * 256 - data.images(split)
        assert noise.min() >= -1e-4
        assert noise.max() <= 1 + 1e-4
        assert abs(noise.mean() - 0.5) < 0.02
    checksum = data.checksum
    assert run(tmp_path, dataset(dequantization="uniform")).checksum == checksum
    assert run(tmp_path, dataset(dequantization="uniform", seed=4)).checksum != checksum
    assert not (tmp_path / "d" / "continuous_train.npy").exists()


def test_binarisations(tmp_path: Path) -> None:
    arrays = raw_file(tmp_path / "raw.npz", train=60, valid=20, test=30)
    threshold = run(tmp_path, dataset(binarization="threshold", threshold=0.25)).images("test")
    assert np.array_equal(threshold, arrays["x_test"] >= 0.25 * 255)
    stochastic = run(tmp_path, dataset(binarization="stochastic"))
    assert np.array_equal(stochastic.images("train"), arrays["x_train"])
    assert set(np.unique(stochastic.images("valid"))) == {0, 1}
    assert stochastic.redraws
    static = run(tmp_path, dataset(binarization="static"))
    assert set(np.unique(static.images("train"))) == {0, 1}
    error = static.images("train").mean() - arrays["x_train"].mean() / 255
    assert abs(error) < 5 * 0.5 / np.sqrt(arrays["x_train"].size)


def test_published_binary_images_are_not_changed(tmp_path: Path) -> None:
    source = np.random.default_rng(0)
    arrays = {
        f"x_{split}": source.integers(0, 2, (size, 28, 28), dtype=np.uint8)
        for split, size in (("train", 60), ("valid", 20), ("test", 30))
    }
    write_raw(tmp_path / "raw.npz", ImageSet(arrays, "published", "folder"))
    data = run(tmp_path, dataset(images="binarized_mnist", binarization="static"))
    for split in ("train", "valid", "test"):
        assert np.array_equal(data.images(split), arrays[f"x_{split}"])
    with pytest.raises(TriptychError, match="the train images of d have no labels: add y_train"):
        data.labels("train")


def test_split_sizes_are_those_of_the_settings(tiny: Settings, prepared: Path) -> None:
    for name in tiny.datasets:
        data = PreparedData.open(prepared / name)
        assert {split: data.size(split) for split in ("train", "valid", "test")} == tiny.dataset(name).sizes(
            "quick"
        ).model_dump()


def test_dequantised_values_stay_below_one_and_return_to_their_level() -> None:
    pixels = np.arange(256, dtype=np.float32).reshape(1, 16, 16)
    for noise in (0.0, 0.5, np.nextafter(np.float32(1), np.float32(0))):
        values = dequantize(pixels, np.full_like(pixels, noise))
        assert values.max() < 1
        if noise < 0.9:
            assert (quantize(values) == pixels).all()


def test_stochastic_binarisation_has_the_intensity_as_its_mean() -> None:
    pixels = np.repeat(np.array([0, 51, 128, 255], np.uint8)[:, None], 200_000, axis=1)
    draws = stochastic_binarize(pixels, np.random.default_rng(0).random(pixels.shape, np.float32))
    expected = np.array([0, 0.2, 128 / 255, 1])
    assert np.allclose(draws.mean(1), expected, atol=5 * 0.5 / math.sqrt(200_000))
    assert not draws[0].any()
    assert draws[3].all()


def test_threshold_binarisation() -> None:
    assert threshold_binarize(np.array([0, 127, 128, 255]), 0.5).tolist() == [False, False, True, True]

"""Stage `prepare`: raw images to splits and binarised or dequantised evaluation copies, `data/prepared/<dataset>/`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.data.raw_images import SPLITS, read_raw
from triptych.data.transforms import StochasticBinarize, ThresholdBinarize, dequantize

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.tracker import Tracker
    from triptych.data.settings import Dataset, Splits


def prepare(*, name: str, dataset: Dataset, splits: Splits, raw: Path, output: Path, tracker: Tracker) -> None:
    """Write the prepared data set `name` (see `PreparedData`) from the raw `.npz` file.

    Every random draw comes from `dataset.seed`, one stream a split and purpose: all models see the same numbers.
    """
    found = read_raw(raw, dataset.images)
    pieces = split_images(dict(found.arrays), splits, str(raw), dataset.seed)
    with atomic_folder(output) as folder:
        for split, (images, labels) in pieces.items():
            pixels = binarize(images, dataset, split)
            np.save(folder / f"x_{split}.npy", pixels)
            if labels is not None:
                np.save(folder / f"y_{split}.npy", labels)
            if dataset.dequantization == "uniform" and split != "train":
                noise = _generator(dataset.seed, split, "dequantize").random(pixels.shape, np.float32)
                np.save(folder / f"continuous_{split}.npy", dequantize(pixels.astype(np.float32), noise))
        checksums = {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.npy"))}
        manifest = {
            "dataset": name,
            "source": found.source,
            "image_shape": list(pieces["train"][0].shape[1:]),
            "splits": {split: len(images) for split, (images, _) in pieces.items()},
            "binarization": dataset.binarization,
            "dequantization": dataset.dequantization,
            "files": checksums,
            "sha256": sha256_of_json(checksums),
        }
        write_json(folder / MANIFEST, manifest)
    tracker.say(f"{name}: " + ", ".join(f"{count:,} {split}" for split, count in manifest["splits"].items()))


def split_images(
    arrays: dict[str, np.ndarray], splits: Splits, origin: str, seed: int
) -> dict[str, tuple[np.ndarray, np.ndarray | None]]:
    """Images and labels of each split. Without a published validation set it is the end of the training set.

    A test set that is larger than asked for is thinned at random, since some files are sorted by class.
    """
    sizes = {split: getattr(splits, split) for split in SPLITS}
    if "x_valid" not in arrays:
        total = len(arrays["x_train"])
        if total < sizes["train"] + sizes["valid"]:
            raise TriptychError(
                f"{origin} has {total:,} training images, fewer than splits.train + splits.valid = "
                f"{sizes['train'] + sizes['valid']:,}: lower them in params.yaml"
            )
        for kind in [kind for kind in "xy" if f"{kind}_train" in arrays]:
            arrays[f"{kind}_valid"] = arrays[f"{kind}_train"][total - sizes["valid"] :]
            arrays[f"{kind}_train"] = arrays[f"{kind}_train"][: total - sizes["valid"]]
    pieces = {}
    for split, size in sizes.items():
        images, labels = arrays[f"x_{split}"], arrays.get(f"y_{split}")
        if len(images) < size:
            raise TriptychError(
                f"{origin} has {len(images):,} {split} images, fewer than splits.{split} = {size:,}: "
                "lower it in params.yaml"
            )
        chosen = slice(None) if len(images) == size else _thin(len(images), size, seed)
        pieces[split] = (images[chosen], None if labels is None else labels[chosen])
    _refuse_sorted(pieces, origin)
    return pieces


def _thin(available: int, size: int, seed: int) -> np.ndarray:
    return np.sort(np.random.default_rng(seed).permutation(available)[:size])


def _refuse_sorted(pieces: dict[str, tuple[np.ndarray, np.ndarray | None]], origin: str) -> None:
    labels = {split: piece[1] for split, piece in pieces.items()}
    if labels["train"] is None or labels["valid"] is None:
        return
    trained, validated = set(labels["train"].tolist()), set(labels["valid"].tolist())
    if validated - trained or len(validated) <= len(trained) / 2:
        raise TriptychError(
            f"{origin} seems sorted by class (training has {sorted(trained)}, validation {sorted(validated)}): "
            "shuffle the training images before saving them"
        )


def binarize(images: np.ndarray, dataset: Dataset, split: str) -> np.ndarray:
    """The pixels that the models are trained and judged on, uint8 of the images' shape.

    `static` keeps published 0/1 images and draws 8-bit ones once; `stochastic` draws the evaluation copies once and
    leaves the training images in 8 bits, for training to draw from afresh.
    """
    kind = dataset.binarization
    if kind == "none" or (kind == "static" and images.max() <= 1) or (kind == "stochastic" and split == "train"):
        return images
    if kind == "threshold":
        return ThresholdBinarize(dataset.threshold).forward(images).astype(np.uint8)
    noise = _generator(dataset.seed, split, "binarize").random(images.shape, np.float32)
    return StochasticBinarize().forward(images, noise).astype(np.uint8)


def _generator(seed: int, split: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), ("binarize", "dequantize").index(purpose)])

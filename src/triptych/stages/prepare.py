"""Stage `prepare`: split, binarise and dequantise the raw images, `data/prepared/<dataset>/`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.files import atomic_folder
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import write_json
from triptych.core.tracker import Tracker
from triptych.data.binarization import binarize_split
from triptych.data.dequantization import dequantize
from triptych.data.greyscale import to_grey
from triptych.data.image_shapes import SPLITS
from triptych.data.raw_images import read_raw
from triptych.data.settings import Dataset, Splits
from triptych.data.splits import Piece, split_images

PURPOSES = ("binarize", "dequantize")  # of random numbers


def prepare(*, name: str, dataset: Dataset, splits: Splits | None, raw: Path, output: Path, tracker: Tracker) -> None:
    """Write the prepared data set `name` (see `PreparedData`) from the raw `.npz` file; without `splits`, all images.

    All random numbers derive from `dataset.seed`, with one stream per split and purpose, so that all models see the
    same images.
    """
    image_set = read_raw(raw, dataset.images)
    pieces = split_images(dict(image_set.arrays), splits, str(raw), dataset.seed, own=dataset.own)
    if dataset.grey:
        pieces = {split: (to_grey(images), labels) for split, (images, labels) in pieces.items()}
    if dataset.binarization != "none" and pieces["train"][0].ndim > 3:
        raise TriptychError(f"params.yaml: datasets.{name}: binarization is for grey images; add `grey: true`")
    prepared = {
        split: (binarize_split(images, dataset, split, _generator(dataset.seed, split, "binarize")), labels)
        for split, (images, labels) in pieces.items()
    }
    with atomic_folder(output) as folder:
        write_prepared(
            folder,
            prepared,
            name=name,
            source=image_set.source,
            binarization=dataset.binarization,
            dequantization=dataset.dequantization,
            seed=dataset.seed,
        )
    tracker.say(f"{name}: " + ", ".join(f"{len(images):,} {split}" for split, (images, _) in pieces.items()))


def write_prepared(
    folder: Path,
    pieces: Mapping[str, Piece],
    *,
    name: str,
    source: str,
    binarization: str,
    dequantization: str,
    seed: int,
) -> None:
    """Write a prepared data set into an empty folder, from the pixels and labels (None if unknown) of each split."""
    for split, (pixels, labels) in pieces.items():
        np.save(folder / f"x_{split}.npy", pixels)
        if labels is not None:
            np.save(folder / f"y_{split}.npy", labels)
        if dequantization == "uniform" and split != "train":
            noise = _generator(seed, split, "dequantize").random(pixels.shape, np.float32)
            np.save(folder / f"continuous_{split}.npy", dequantize(pixels.astype(np.float32), noise))
    checksums = {path.name: sha256_of_file(path) for path in sorted(folder.glob("*.npy"))}
    manifest = {
        "dataset": name,
        "source": source,
        "image_shape": list(pieces["train"][0].shape[1:]),
        "splits": {split: len(pixels) for split, (pixels, _) in pieces.items()},
        "binarization": binarization,
        "dequantization": dequantization,
        "files": checksums,
        "sha256": sha256_of_json(checksums),
    }
    write_json(folder / MANIFEST, manifest)


def _generator(seed: int, split: str, purpose: str) -> np.random.Generator:
    return np.random.default_rng([seed, SPLITS.index(split), PURPOSES.index(purpose)])

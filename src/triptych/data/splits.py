"""Division of the raw images into training, validation and test split."""

from __future__ import annotations

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.settings import Splits

Piece = tuple[np.ndarray, np.ndarray | None]


def split_images(arrays: dict[str, np.ndarray], splits: Splits, origin: str, seed: int) -> dict[str, Piece]:
    """Return images and labels (None if unknown) of each split.

    Without a published validation split, the end of the training images is taken. If a split has more images than
    `splits` asks for, a random subset is kept, because some files are sorted by class.
    Raises TriptychError if there are too few images, or if the training images are sorted by class.
    """
    if "x_valid" not in arrays:
        arrays = _with_validation(arrays, splits, origin)
    pieces = {}
    for split, size in splits.model_dump().items():
        images, labels = arrays[f"x_{split}"], arrays.get(f"y_{split}")
        if len(images) < size:
            raise TriptychError(
                f"{origin} has {len(images):,} {split} images, fewer than splits.{split} = {size:,}: "
                "lower it in params.yaml"
            )
        if len(images) > size:
            kept = np.sort(np.random.default_rng(seed).permutation(len(images))[:size])
            images, labels = images[kept], None if labels is None else labels[kept]
        pieces[split] = (images, labels)
    _refuse_sorted(pieces["train"][1], pieces["valid"][1], origin)
    return pieces


def _with_validation(arrays: dict[str, np.ndarray], splits: Splits, origin: str) -> dict[str, np.ndarray]:
    total = len(arrays["x_train"])
    if total < splits.train + splits.valid:
        raise TriptychError(
            f"{origin} has {total:,} training images, fewer than splits.train + splits.valid = "
            f"{splits.train + splits.valid:,}: lower them in params.yaml"
        )
    divided = {}
    for kind in "xy":
        if (array := arrays.get(f"{kind}_train")) is not None:
            divided[f"{kind}_train"], divided[f"{kind}_valid"] = np.split(array, [total - splits.valid])
    return arrays | divided


def _refuse_sorted(train: np.ndarray | None, valid: np.ndarray | None, origin: str) -> None:
    if train is None or valid is None:
        return
    trained, validated = set(train.tolist()), set(valid.tolist())
    if validated - trained or len(validated) <= len(trained) / 2:
        raise TriptychError(
            f"{origin} seems sorted by class (training has {sorted(trained)}, validation {sorted(validated)}): "
            "shuffle the training images before saving them"
        )

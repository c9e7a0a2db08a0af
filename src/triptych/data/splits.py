"""Division of the raw images into training, validation and test split."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from triptych.core.errors import TriptychError
from triptych.data.image_shapes import SPLITS
from triptych.data.settings import LEAST, Splits

Piece = tuple[np.ndarray, np.ndarray | None]
SHARE = 10  # of the training images: one of so many goes into each missing split


def split_images(
    arrays: dict[str, np.ndarray], splits: Splits | None, origin: str, seed: int, *, own: bool = False
) -> dict[str, Piece]:
    """Return images and labels (None if unknown) of each split.

    Without a published validation split, the end of the training images is taken. Missing splits of own images, or
    without `splits`, are drawn from the training images. If a split has more images than `splits` asks for, a random
    subset is kept, because some files are sorted by class. Own images are shuffled, because the first ones of a split
    stand for all in some measurements.
    Raises TriptychError if there are too few images, or if the training images are sorted by class.
    """
    missing = [split for split in SPLITS if f"x_{split}" not in arrays]
    drawn = own or not splits
    sizes = splits or default_sizes({name[2:]: len(array) for name, array in arrays.items() if name[0] == "x"}, origin)
    if missing:
        arrays = _with_missing(arrays, sizes, missing, origin, np.random.default_rng(seed) if drawn else None)
        if "valid" in missing and not drawn:
            _refuse_sorted(arrays.get("y_train"), arrays.get("y_valid"), origin)
    pieces = {}
    for split, size in sizes.model_dump().items():
        images, labels = arrays[f"x_{split}"], arrays.get(f"y_{split}")
        if len(images) < size:
            raise TriptychError(
                f"{origin} has {len(images):,} {split} images, fewer than splits.{split} = {size:,}: "
                "lower it in params.yaml"
            )
        if own or len(images) > size:
            kept = np.random.default_rng(seed).permutation(len(images))[:size]
            kept = kept if own else np.sort(kept)
            images, labels = images[kept], None if labels is None else labels[kept]
        pieces[split] = (images, labels)
    return pieces


def default_sizes(counts: Mapping[str, int], origin: str = "the data set") -> Splits:
    """Return all images of each split; a missing split has a tenth of the training images.

    Raises TriptychError, which names `origin`, if a split has too few images.

    >>> default_sizes({"train": 300})
    Splits(train=240, valid=30, test=30)
    """
    tenth = max(LEAST, counts["train"] // SHARE)
    missing = [split for split in SPLITS if split not in counts]
    sizes = dict.fromkeys(missing, tenth) | counts
    sizes["train"] -= tenth * len(missing)
    needed = {"train": 1 + LEAST * len(missing), "valid": LEAST, "test": LEAST}
    for split, count in counts.items():
        if count < needed[split]:
            raise TriptychError(f"{origin} has {count} {split} images, but at least {needed[split]} are needed")
    return Splits.model_validate(sizes)


def _with_missing(
    arrays: dict[str, np.ndarray], sizes: Splits, missing: list[str], origin: str, rng: np.random.Generator | None
) -> dict[str, np.ndarray]:
    """Return the arrays with the missing splits, drawn from the training images, or without `rng` from their end."""
    total, wanted = len(arrays["x_train"]), [getattr(sizes, split) for split in ("train", *missing)]
    if total < sum(wanted):
        names = " + ".join(f"splits.{split}" for split in ("train", *missing))
        raise TriptychError(
            f"{origin} has {total:,} training images, fewer than {names} = {sum(wanted):,}: lower them in params.yaml"
        )
    order = rng.permutation(total) if rng else np.arange(total)
    starts = total - np.cumsum(wanted[:0:-1])[::-1]  # of the missing splits
    divided = {}
    for kind in "xy":
        if (array := arrays.get(f"{kind}_train")) is not None:
            parts = (array[np.sort(indices)] for indices in np.split(order, starts))
            divided |= {f"{kind}_{split}": part for split, part in zip(("train", *missing), parts, strict=True)}
    return arrays | divided


def _refuse_sorted(train: np.ndarray | None, valid: np.ndarray | None, origin: str) -> None:
    if train is None or valid is None:
        return
    trained, validated = set(train.tolist()), set(valid.tolist())
    if validated - trained or len(validated) < min(len(trained), len(valid)) / 2:
        raise TriptychError(
            f"{origin} seems sorted by class (training has {sorted(trained)}, validation {sorted(validated)}): "
            "shuffle the training images before saving them"
        )

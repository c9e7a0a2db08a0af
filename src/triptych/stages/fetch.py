"""Stage `fetch`: raw images into `data/raw/<dataset>.npz`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.files import atomic_file
from triptych.data.raw_images import write_npz
from triptych.data.sources import load

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.tracker import Tracker
    from triptych.data.settings import Dataset, Embedded, Splits


def fetch(
    *,
    dataset: Dataset,
    source: str,
    splits: Splits,
    embedded: Embedded,
    downloads: Path,
    output: Path,
    tracker: Tracker,
) -> None:
    """Write the raw images of `dataset`, checked, from the source to the `.npz` file `output`.

    `downloads` keeps public files between runs. Nothing is left at `output` if anything is wrong; what was there stays.
    """
    image_set = load(dataset.images, source, embedded, splits, downloads)
    with atomic_file(output) as draft:
        write_npz(draft, image_set)
    counts = {name[2:]: len(array) for name, array in image_set.arrays.items() if name.startswith("x_")}
    tracker.say(f"{image_set.source}: " + ", ".join(f"{count:,} {split}" for split, count in counts.items()))

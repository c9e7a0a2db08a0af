"""Data sets with the sizes of the profile `full`, without a network: the embedded images, repeated.

The content of the images does not affect the speed.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triptych.core.tracker import Tracker
from triptych.data.prepared import PreparedData
from triptych.data.raw_images import ImageSet, read_raw, write_raw
from triptych.stages.fetch import fetch
from triptych.stages.prepare import prepare

if TYPE_CHECKING:
    from triptych.data.settings import Splits
    from triptych.settings.params import Settings


def prepared(settings: Settings, name: str, folder: Path) -> PreparedData:
    """Return the data set `name` with as many images as in `full`; it is made in `folder` once.

    The images come from the folder in TRIPTYCH_DATA if it is set.
    """
    output = folder / name
    if not output.exists():
        dataset = settings.dataset(name)
        raw = folder / f"{name}.npz"
        fetch(
            dataset=dataset,
            source="folder" if os.environ.get("TRIPTYCH_DATA") else "embedded",
            downloads=folder,
            output=raw,
            tracker=Tracker(),
        )
        found, sizes = read_raw(raw, dataset.images), dataset.sizes("full")
        write_raw(raw, ImageSet(_repeated(found, sizes), found.source, found.kind))
        prepare(name=name, dataset=dataset, splits=sizes, raw=raw, output=output, tracker=Tracker())
    return PreparedData.open(output)


def _repeated(found: ImageSet, sizes: Splits) -> dict[str, np.ndarray]:
    wanted = {split: getattr(sizes, split) for split in ("train", "valid", "test")}
    if "x_valid" not in found.arrays:
        wanted["train"] += wanted["valid"]
    return {
        name: np.resize(array, (max(wanted[name[2:]], len(array)), *array.shape[1:]))
        for name, array in found.arrays.items()
    }

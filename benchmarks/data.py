"""Data sets of the documents' sizes, without a network: the embedded images, repeated until there are enough.

No time depends on what the images show.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triptych.core.tracker import Console
from triptych.data.prepared import PreparedData
from triptych.data.raw_images import ImageSet, read_raw, write_npz
from triptych.stages.fetch import fetch
from triptych.stages.prepare import prepare

if TYPE_CHECKING:
    from triptych.data.settings import Splits
    from triptych.settings.params import Settings


class Quiet(Console):
    """A tracker that says nothing."""

    def say(self, text: str) -> None:
        """Nothing is said."""


def prepared(settings: Settings, name: str, folder: Path) -> PreparedData:
    """The data set `name` with as many images as under `full`, below `folder`; made once.

    From the folder that TRIPTYCH_DATA names, if it names one.
    """
    output = folder / name
    if not output.exists():
        dataset = settings.dataset(name)
        raw = folder / f"{name}.npz"
        fetch(
            dataset=dataset,
            source="folder" if os.environ.get("TRIPTYCH_DATA") else "embedded",
            splits=dataset.sizes("quick"),
            embedded=settings.embedded,
            downloads=folder,
            output=raw,
            tracker=Quiet(),
        )
        found, sizes = read_raw(raw, dataset.images), dataset.sizes("full")
        write_npz(raw, ImageSet(_repeated(found, sizes), found.source, found.kind))
        prepare(name=name, dataset=dataset, splits=sizes, raw=raw, output=output, tracker=Quiet())
    return PreparedData.open(output)


def _repeated(found: ImageSet, sizes: Splits) -> dict[str, np.ndarray]:
    wanted = {split: getattr(sizes, split) for split in ("train", "valid", "test")}
    if "x_valid" not in found.arrays:
        wanted["train"] += wanted["valid"]
    return {
        name: np.resize(array, (max(wanted[name[2:]], len(array)), *array.shape[1:]))
        for name, array in found.arrays.items()
    }

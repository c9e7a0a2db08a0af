"""Stage `fetch`: write the raw images, `data/raw/<dataset>.npz`."""

from __future__ import annotations

from pathlib import Path

from triptych.core.files import atomic_file
from triptych.core.tracker import Tracker
from triptych.data.raw_images import without_checksum, write_raw
from triptych.data.settings import Dataset
from triptych.sources.load import load_images, load_own


def fetch(*, dataset: Dataset, source: str | Path, downloads: Path, output: Path, tracker: Tracker) -> None:
    """Write the checked raw images of `dataset` from `source` to the `.npz` file `output`.

    The source of own images is their path. The folder `downloads` keeps public files between runs. On an error an
    earlier `output` stays as it is.
    """
    image_set = load_own(source) if dataset.own else load_images(dataset.images, source, downloads)
    with atomic_file(output) as draft:
        write_raw(draft, image_set)
    counts = {name[2:]: len(array) for name, array in image_set.arrays.items() if name.startswith("x_")}
    sizes = ", ".join(f"{count:,} {split}" for split, count in counts.items())
    tracker.say(f"{without_checksum(image_set.source)}: {sizes}")

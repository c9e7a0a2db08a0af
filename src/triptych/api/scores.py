"""Fidelity of images of any origin as a pandas table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.api.projects import open_project, reference_folder
from triptych.api.scoring import score as measure

if TYPE_CHECKING:
    import pandas as pd

    from triptych.inference.trained_model import Images

FIRST = ("value", "standard_error", "low", "high")  # columns


def score(images: Images | str | Path, reference: str, *, project: str | Path | None = None) -> pd.DataFrame:
    """Return FID, KID, IS, precision and recall of images, one row per measure, as `triptych score` measures them.

    `images` are NumPy or PyTorch arrays of the shape of the reference's images: uint8 from 0 to 255, floats from 0 to
    1, or bool. They can also be the path of a file or a folder, as for the command. `reference` is an entry of
    `references` or `classifiers` in params.yaml. KID needs at least `fidelity.kid_subset_size` images of the profile
    (`quick`: 500, `full`: 1,000). Of more images than `fidelity.samples`, a random subset is measured, always the same
    one. `project` is the folder of the project, by default that of the working directory. Raises TriptychError, one
    sentence, for other images.

    Columns: `low` and `high` are the ends of the 95 % interval, from as many resamplings of the images as
    `resamplings` says. They and `standard_error` are NaN if it is 0. `real_images` is the value of real images in place
    of `images`, the best that a model can reach.

    >>> table = triptych.score(triptych.load("vae-20d").sample(1000), "mnist")
    >>> float(table.loc["fid_classifier", "value"]) > 0
    True
    """
    import pandas as pd

    found, settings = open_project(project)
    folder = reference_folder(found, settings, reference)
    rows = measure(images, folder, settings.active.fidelity, settings.runtime)
    table = pd.DataFrame.from_dict(dict(rows), orient="index").rename_axis("measure")
    return table.reindex(columns=[*FIRST, *table.columns.difference(FIRST, sort=False)])

"""What a model's samples looked like after each snapshot: sheets of images in the record of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image

    from triptych.records.run_folder import Record


def open_sheet(path: Path) -> Image:
    """A sheet of samples. Raises TriptychError if it is damaged."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as sheet:
            sheet.load()
            return sheet
    except (UnidentifiedImageError, OSError) as error:
        raise TriptychError(f"{path} is damaged ({error}): delete its folder") from None


def keep_samples(record: Record, model: Path) -> None:
    """Draw a sheet for every snapshot in the model folder, and one for the final weights, unless the record has them.

    Raises TriptychError if the folder is damaged, or if the model gives NaN.
    """
    if record.samples_folder.exists():
        return
    import torch
    from PIL import Image

    from triptych.evaluation.context import COLUMNS, shown_latents
    from triptych.evaluation.uint8_images import to_uint8
    from triptych.figures.grids import tile
    from triptych.models.common.load import load_family
    from triptych.training.checkpoint import snapshot_name
    from triptych.training.weights import load_into

    inputs, device = record.inputs, torch.device("cpu")
    family = load_family(model, device)
    latents = shown_latents(family, inputs["settings"]["seed"])
    with atomic_folder(record.samples_folder) as folder:

        def draw(epoch: int) -> None:
            images = to_uint8(family.sample(latents), f"samples of {record.name} after epoch {epoch}").numpy()
            Image.fromarray(tile(images, COLUMNS)).save(folder / f"{epoch:04d}.png")

        draw(int(record.history[-1]["epoch"]))
        for epoch in inputs["snapshots"]:
            load_into(family.averaged, model / snapshot_name(epoch), device)
            draw(epoch)

"""What a model's samples looked like after each snapshot: sheets of images in the record of its run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.files import atomic_folder

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.tracking.records import Record

SHOWN, COLUMNS = 25, 5  # the same latents, seen in the same order, as in the evaluation's pictures


def keep_samples(record: Record, model: Path) -> None:
    """Draw a sheet for every snapshot in the model folder, and one for the final weights, unless the record has them.

    Raises TriptychError if the folder is damaged, or if the model gives NaN.
    """
    if record.samples_folder.exists():
        return
    import torch
    from PIL import Image

    from triptych.evaluation.images import quantize
    from triptych.figures.grids import tile
    from triptych.models.load import load_family
    from triptych.training.checkpoint import snapshot_name
    from triptych.training.reproducible import generator
    from triptych.training.weights import load_into

    inputs, device = record.inputs, torch.device("cpu")
    family = load_family(model, device)
    latents = family.draw_latents(SHOWN, generator(inputs["settings"]["seed"], "shown samples"))
    with atomic_folder(record.samples_folder) as folder:

        def draw(epoch: int) -> None:
            images = quantize(family.sample(latents), f"samples of {record.name} after epoch {epoch}").numpy()
            Image.fromarray(tile(images, COLUMNS)).save(folder / f"{epoch:04d}.png")

        draw(int(record.history[-1]["epoch"]))
        for epoch in inputs["snapshots"]:
            load_into(family.averaged, model / snapshot_name(epoch), device)
            draw(epoch)

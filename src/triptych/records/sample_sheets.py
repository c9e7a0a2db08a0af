"""Sheets of sample images in a run folder: one per snapshot, and one for the final weights."""

from __future__ import annotations

from pathlib import Path

from triptych.core.files import atomic_folder
from triptych.records.run_folder import RunFolder


def draw_sample_sheets(run: RunFolder, model: Path) -> None:
    """Draw the sheets of samples into the run folder, unless it has them already.

    `model` is the folder of the trained model. All sheets show samples from the same latent vectors.
    Raises TriptychError if the model's folder is damaged, or if the model generates NaN.
    """
    if run.samples_folder.exists():
        return
    import torch
    from PIL import Image

    from triptych.evaluation.context import shown_latents
    from triptych.evaluation.uint8_images import to_uint8
    from triptych.figures.image_grids import SHEET_COLUMNS, tile
    from triptych.models.common.load import load_family
    from triptych.training.checkpoint import snapshot_name
    from triptych.training.weights import load_into

    inputs, device, last = run.inputs, torch.device("cpu"), run.last_step[1]
    family = load_family(model, device)
    latents = shown_latents(family, inputs["settings"]["seed"])
    with atomic_folder(run.samples_folder) as folder:
        for epoch in (last, *inputs["snapshots"]):
            if epoch != last:  # load_family has loaded the final weights
                load_into(family.averaged, model / snapshot_name(epoch), device)
            images = to_uint8(family.sample(latents), f"samples of {run.name} after epoch {epoch}").numpy()
            Image.fromarray(tile(images, SHEET_COLUMNS)).save(folder / f"{epoch:04d}.png")

"""Images from trained models, from a seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.evaluation.quantization import quantize
from triptych.training.reproducible import generator

if TYPE_CHECKING:
    import numpy as np

    from triptych.training.family import Family


def draw(family: Family, count: int, seed: int) -> np.ndarray:
    """uint8 images (count, 28, 28): the same for the same model, count and seed."""
    return quantize(family.sample(family.draw_latents(count, generator(seed, "samples"))), "samples").numpy()


def write_samples(model: Path, count: int, seed: int, device: str, output: Path) -> None:
    """Draw from the model folder and write a grid (`.png`) or an array (`.npy`), by the ending of `output`."""
    import numpy as np
    from PIL import Image

    from triptych.core.files import atomic_file
    from triptych.figures.grids import tile
    from triptych.models.common.load import load_family
    from triptych.training.reproducible import pick_device

    if output.suffix not in (".png", ".npy"):
        raise TriptychError(f"{output} must end in .png, for a grid, or in .npy, for an array")
    images = draw(load_family(model, pick_device(device)), count, seed)
    with atomic_file(output) as draft, draft.open("wb") as file:
        if output.suffix == ".npy":
            np.save(file, images)
        else:
            Image.fromarray(tile(images, columns=round(count**0.5) or 1)).save(file, format="PNG")

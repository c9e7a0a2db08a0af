"""Draw images from trained models with a given seed."""

from pathlib import Path

import numpy as np
from PIL import Image

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file
from triptych.evaluation.uint8_images import to_uint8
from triptych.figures.image_grids import tile
from triptych.models.common.load import load_family
from triptych.training.family import Family
from triptych.training.reproducible import generator, pick_device


def draw(family: Family, count: int, seed: int) -> np.ndarray:
    """Return uint8 images (count, ...), which depend on the model, the count and the seed alone."""
    return to_uint8(family.sample(family.draw_latents(count, generator(seed, "samples"))), "samples").numpy()


def write_samples(model: Path, count: int, seed: int, device: str, output: Path) -> None:
    """Draw images from the model folder and write them to `output`: a grid (`.png`) or an array (`.npy` or `.npz`).

    Raises TriptychError if the output has another ending, or if the model is missing or damaged.
    """
    if output.suffix not in (".png", ".npy", ".npz"):
        raise TriptychError(f"{output} has an unknown ending: use .png for a grid, or .npy or .npz for an array")
    images = draw(load_family(model, pick_device(device)), count, seed)
    with atomic_file(output) as draft, draft.open("wb") as file:
        if output.suffix == ".npy":
            np.save(file, images)
        elif output.suffix == ".npz":
            np.savez(file, images=images)
        else:
            Image.fromarray(tile(images, columns=round(count**0.5) or 1)).save(file, format="PNG")

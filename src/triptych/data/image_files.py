"""Images of any origin, to be scored: a `.npy` file, a `.npz` file, or a folder of PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.files import readable
from triptych.core.progress import Progress
from triptych.data.image_shapes import refuse_too_large
from triptych.data.npz_files import array_names, read_npy, read_npz
from triptych.data.raw_images import checked_images

NAMES = ("images", "samples", "x_test", "arr_0")  # of the array in a .npz file; the first that exists is read
MODES = ("1", "L", "P", "RGB")  # of PNG files with at most 8 bits per channel and without transparency


def read_images(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Return uint8 images (n, *shape) of a file or a folder, where `shape` is (h, w) for grey or (3, h, w).

    PNG files are read in the order of their names. Raises TriptychError if the path is missing or damaged, or if the
    images have another shape, type or range.
    """
    if path.is_dir():
        return checked_images(_read_folder(path, shape), str(path), shape)
    if path.suffix == ".npy":
        return checked_images(read_npy(path, require_uint8), str(path), shape)
    if path.suffix == ".npz":
        name = _name_in(path)
        return checked_images(read_npz(path, [name], require_uint8)[name], f"{path}: {name}", shape)
    problem = "is neither a .npy file nor a .npz file nor a folder" if path.exists() else "does not exist"
    raise TriptychError(f"{path} {problem}: name a .npy file, a .npz file or a folder of PNG files")


def require_uint8(label: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Raise TriptychError unless an array of this shape and type can hold 8-bit images."""
    if dtype.kind == "f":
        advice = "convert intensities in [0, 1] with (255 * images).round().astype('uint8')"
        raise TriptychError(f"{label} holds {dtype}, but images must be uint8 from 0 to 255: {advice}")
    if dtype != np.uint8:
        raise TriptychError(f"{label} holds {dtype}, but images must be uint8 from 0 to 255: convert them")
    refuse_too_large(label, shape)


def _name_in(path: Path) -> str:
    found = array_names(path)
    for name in (*NAMES, *(found if len(found) == 1 else ())):
        if name in found:
            return name
    known = ", ".join(found) or "no array"
    raise TriptychError(f"{path} holds {known}: rename the array with the images to {NAMES[0]}")


def _read_folder(folder: Path, shape: Sequence[int]) -> np.ndarray:
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() == ".png")
    if not files:
        raise TriptychError(f"{folder} holds no PNG files: name a folder of .png files, a .npy file or a .npz file")
    refuse_too_large(str(folder), (len(files), *shape))
    images, progress = np.empty((len(files), *shape), np.uint8), Progress(folder.name, len(files), 0)
    for index, path in enumerate(files):
        images[index] = _read_png(path, shape)
        if progress.due():
            progress.report(index + 1, "PNG files")
    progress.finish()
    return images


def _read_png(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Return the pixels (h, w) or (3, h, w) of a PNG file. Its size is checked before it is decoded."""
    from PIL import Image

    height, width = shape[-2:]
    advice = f"save images of {width} by {height} pixels as 8-bit PNG files without transparency"
    with readable(path, advice):
        try:
            with Image.open(path, formats=["PNG"]) as image:
                if image.size != (width, height) or image.mode not in MODES:
                    size = "{} by {}".format(*image.size)
                    raise TriptychError(f"{path} has {size} pixels of mode {image.mode}: {advice}")
                pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
        except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise TriptychError(f"{path} is not a readable PNG file ({error}): {advice}") from None
    if len(shape) == 3:
        return pixels
    if (pixels != pixels[:1]).any():
        raise TriptychError(f"{path} is in colour, but it is compared with grey images: choose another reference")
    return pixels[0]

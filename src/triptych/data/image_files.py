"""Images of any origin: folders of PNG or JPEG files; to be scored, also a `.npy` file or a `.npz` file."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.files import readable
from triptych.core.progress import Progress
from triptych.data.array_images import require_pixels, to_levels
from triptych.data.image_shapes import Shape, image_shape, refuse_too_large
from triptych.data.npz_files import array_names, read_npy, read_npz
from triptych.data.raw_images import checked_images

if TYPE_CHECKING:
    from PIL.Image import Image

NAMES = ("images", "samples", "x_test", "arr_0")  # of the array in a .npz file; the first that exists is read
SUFFIXES = (".png", ".jpg", ".jpeg")
GREY_MODES, COLOUR_MODES = ("1", "L"), ("P", "RGB")  # of Pillow, with at most 8 bits per channel; P is a palette


def read_images(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Return uint8 images (n, *shape) of a file or a folder, where `shape` is (h, w) for grey or (3, h, w).

    The files of a folder are read in the order of their names. Raises TriptychError if the path is missing or damaged,
    or if the images have another shape, type or range. An array has uint8 from 0 to 255, floats from 0 to 1, or bool.
    """
    require_images(path)
    label = str(path)
    if path.is_dir():
        found = read_image_folder(path, shape)
    elif path.suffix == ".npy":
        found = read_npy(path, require_pixels)
    else:
        name = _name_in(path)
        found, label = read_npz(path, [name], require_pixels)[name], f"{path}: {name}"
    return checked_images(to_levels(found, label), label, shape)


def require_images(path: Path) -> None:
    """Raise TriptychError unless the path, which the user named, is a folder, a `.npy` file or a `.npz` file."""
    if not os.path.lexists(path):
        raise TriptychError(f"{path} does not exist: check the path")
    if path.suffix.lower() in SUFFIXES and not path.is_dir():
        raise TriptychError(f"{path} is one picture: name a folder with one file per image, or a .npy or .npz file")
    if path.suffix not in (".npy", ".npz") and not path.is_dir():
        words = "a .npy file, a .npz file or a folder of PNG or JPEG files"
        raise TriptychError(f"{path} is neither a .npy file nor a .npz file nor a folder: name {words}")


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


def read_image_folder(folder: Path, shape: Sequence[int]) -> np.ndarray:
    """Return uint8 images (n, *shape) of the PNG and JPEG files in a folder, in the order of their names."""
    files = image_paths(folder)
    refuse_too_large(str(folder), (len(files), *shape))
    images, progress = np.empty((len(files), *shape), np.uint8), Progress(folder.name, len(files), 0)
    for index, path in enumerate(files):
        images[index] = _read_image(path, shape)
        if progress.due():
            progress.report(index + 1, "files")
    progress.finish()
    return images


def image_paths(folder: Path) -> list[Path]:
    """Return the PNG and JPEG files of a folder in the order of their names. Raises TriptychError if it has none."""
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        raise TriptychError(f"{folder} cannot be read ({error.strerror}): copy it again") from None
    if not files:
        raise TriptychError(f"{folder} holds no PNG or JPEG files: name a folder that directly contains them")
    return files


def folder_shape(folder: Path) -> Shape:
    """Return the shape of the first image of a folder, (h, w) if it is grey or (3, h, w). It is not decoded."""
    first = image_paths(folder)[0]
    with _opened(first, "save 8-bit PNG or JPEG files without transparency") as image:
        width, height = image.size
        channels = () if image.mode in GREY_MODES else (3,)
    return image_shape((1, *channels, height, width), str(first))


def _read_image(path: Path, shape: Sequence[int]) -> np.ndarray:
    """Return the pixels (h, w) or (3, h, w) of a PNG or JPEG file. Its size is checked before it is decoded."""
    height, width = shape[-2:]
    advice = f"save images of {width} by {height} pixels as 8-bit PNG or JPEG files without transparency"
    with _opened(path, advice) as image:
        if image.size != (width, height):
            raise TriptychError(f"{path} {_form(image)}: {advice}")
        pixels = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    if len(shape) == 3:
        return pixels
    if (pixels != pixels[:1]).any():
        raise TriptychError(f"{path} is in colour, but grey images are needed here: convert it, or use colour for all")
    return pixels[0]


@contextmanager
def _opened(path: Path, advice: str) -> Iterator[Image]:
    """Open one still PNG or JPEG image. Raises TriptychError if it is damaged, animated, 16-bit or transparent."""
    from PIL import Image, UnidentifiedImageError

    with readable(path, advice):
        try:
            with Image.open(path, formats=["PNG", "JPEG"]) as image:
                if image.mode not in (*GREY_MODES, *COLOUR_MODES) or "transparency" in image.info:
                    raise TriptychError(f"{path} {_form(image)}: {advice}")
                if getattr(image, "n_frames", 1) > 1:
                    raise TriptychError(f"{path} is an animation of {image.n_frames} images: {advice}")
                yield image
        except UnidentifiedImageError:
            raise TriptychError(f"{path} is not a PNG or JPEG file: remove it from the folder, or {advice}") from None
        except (Image.DecompressionBombError, SyntaxError, ValueError) as error:
            raise TriptychError(f"{path} is not a readable PNG or JPEG file ({error}): {advice}") from None


def _form(image: Image) -> str:
    transparent = " with transparency" if "transparency" in image.info else ""
    return f"has {image.size[0]} by {image.size[1]} pixels of mode {image.mode}{transparent}"

"""`.npz` files of anyone's: each array's header is judged before memory is given to what it announces.

Nothing is unpacked to disk and nothing is unpickled: members are read by the names that we know, whatever else the
archive holds.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Callable, Collection
from lzma import LZMAError
from math import prod
from pathlib import Path
from tokenize import TokenError
from typing import IO
from zipfile import BadZipFile, ZipFile

import numpy as np
from numpy.lib import format as npy

from triptych.core.errors import TriptychError
from triptych.core.files import readable

MOST_IMAGES = 2_000_000  # in a split
MOST_VALUES = 3 * 32 * 32  # in an image
MOST_WORDS = 10_000  # bytes of a text
UNREADABLE = (
    BadZipFile, EOFError, LZMAError, MemoryError, OverflowError, RuntimeError, SyntaxError, TokenError, ValueError,
    struct.error, zlib.error,
)  # fmt: skip
"""What the zip and header readers raise on damaged bytes, an encrypted member or an unknown compression."""

Header = tuple[tuple[int, ...], np.dtype]


def read_npz(path: Path, wanted: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """The arrays `x_<split>` and `y_<split>` of a file, and the texts `source` and `kind`, as far as it holds them.

    Only those of the `wanted` names, if any are given. Raises TriptychError, before anything large is allocated, if one
    is announced that cannot be right.
    """
    with readable(path, "copy it again"), path.open("rb") as file:
        try:
            with ZipFile(file) as archive:
                return {name: _member(archive, name, f"{path}: {name}") for name in _held(archive, wanted or JUDGES)}
        except UNREADABLE as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            raise TriptychError(f"{path} is not a readable .npz file ({reason}): copy it again") from None


def _held(archive: ZipFile, wanted: Collection[str]) -> list[str]:
    counts = Counter(archive.namelist())
    names = [name for name in wanted if counts[f"{name}.npy"]]
    for name in names:
        if counts[f"{name}.npy"] > 1:
            raise ValueError(f"it holds {name} twice")
    return names


def _member(archive: ZipFile, name: str, what: str) -> np.ndarray:
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        shape, dtype = read_header(file)
        announced, held = prod(shape) * dtype.itemsize, info.file_size - file.tell()
    if announced != held:
        raise ValueError(f"{name} announces {announced:,} bytes of data, but {held:,} follow")
    JUDGES[name](what, (shape, dtype))
    with archive.open(info) as file:
        return npy.read_array(file, allow_pickle=False)


def read_header(file: IO[bytes]) -> Header:
    """Shape and type of the `.npy` that a file begins with. Raises one of UNREADABLE if there is none."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is for structures, not for images")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpickled")
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape {shape} cannot be")
    return shape, dtype


def _judge_images(what: str, header: Header) -> None:
    shape, dtype = header
    if dtype != np.uint8:
        raise TriptychError(f"{what} holds {dtype}, but images must be uint8 from 0 to 255")
    refuse_too_many(what, shape)


def refuse_too_many(what: str, shape: tuple[int, ...]) -> None:
    """Raises TriptychError unless images, or labels, of that shape are of a number and a size that can be right."""
    if shape and (shape[0] > MOST_IMAGES or prod(shape[1:]) > MOST_VALUES):
        raise TriptychError(
            f"{what} has the shape {shape}, but a split may hold {MOST_IMAGES:,} images of {MOST_VALUES:,} values"
        )


def _judge_labels(what: str, header: Header) -> None:
    shape, dtype = header
    if dtype.kind not in "iu":
        raise TriptychError(f"{what} must be a list of whole numbers, but it is {dtype} of shape {shape}")
    refuse_too_many(what, shape)


def _judge_text(what: str, header: Header) -> None:
    shape, dtype = header
    if dtype.kind != "U" or shape or dtype.itemsize > MOST_WORDS:
        raise TriptychError(f"{what} must be a short text, but it is {dtype} of shape {shape}")


JUDGES: dict[str, Callable[[str, Header], None]] = {
    **{f"x_{split}": _judge_images for split in ("train", "valid", "test")},
    **{f"y_{split}": _judge_labels for split in ("train", "valid", "test")},
    "source": _judge_text,
    "kind": _judge_text,
}

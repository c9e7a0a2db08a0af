"""Safe reading of `.npz` and `.npy` files from users.

The header of each array is checked before memory is allocated for its data. Nothing is unpacked to disk or unpickled,
and members with unknown names are ignored.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial
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
from triptych.core.messages import one_line
from triptych.data.image_shapes import SPLITS, refuse_too_large

TEXTS = ("source", "kind")
NAMES = (*(f"{kind}_{split}" for kind in "xy" for split in SPLITS), *TEXTS)
MOST_TEXT_BYTES = 10_000
UNREADABLE = (
    BadZipFile, EOFError, LZMAError, MemoryError, OverflowError, RuntimeError, SyntaxError, TokenError, ValueError,
    struct.error, zlib.error,
)  # fmt: skip
"""Exceptions of zipfile and NumPy on damaged bytes, an encrypted member or an unknown compression."""

Check = Callable[[str, tuple[int, ...], np.dtype], None]
"""Raises TriptychError, which begins with the label, if shape or type of an array are not wanted."""


def read_npz(path: Path, names: Collection[str] = NAMES, check: Check | None = None) -> dict[str, np.ndarray]:
    """Return the arrays among `names` that the file holds: images `x_<split>`, labels `y_<split>`, and two texts.

    `check` replaces the check of shapes and types for these names. Raises TriptychError, before large memory is
    allocated, if the file is damaged or a header is implausible.
    """
    with _opened(path) as file, ZipFile(file) as archive:
        members = archive.namelist()
        return {name: _read_member(archive, name, path, check) for name in names if f"{name}.npy" in members}


def read_npy(path: Path, check: Check) -> np.ndarray:
    """Return the array of a `.npy` file. Raises TriptychError as `read_npz` does."""
    with _opened(path) as file:
        return _read_array(file, path.stat().st_size, "its header", partial(check, str(path)))


def array_names(path: Path) -> list[str]:
    """Return the names of all arrays in a `.npz` file. Raises TriptychError if the file is damaged."""
    with _opened(path) as file, ZipFile(file) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def array_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the known arrays in a `.npz` file, or that of a `.npy` file as `x_train`, from headers."""
    with _opened(path) as file:
        if path.suffix == ".npy":
            return {"x_train": _read_header(file)[0]}
        with ZipFile(file) as archive:
            found = [name for name in NAMES if f"{name}.npy" in archive.namelist()]
            return {name: _read_header(archive.open(f"{name}.npy"))[0] for name in found}


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    with readable(path, "copy it again"), path.open("rb") as file:
        try:
            yield file
        except UNREADABLE as error:
            raise TriptychError(
                f"{path} is not a readable {path.suffix} file ({one_line(error)}): copy it again"
            ) from None


def _read_member(archive: ZipFile, name: str, path: Path, check: Check | None) -> np.ndarray:
    if archive.namelist().count(f"{name}.npy") > 1:
        raise ValueError(f"it holds {name} twice")
    info = archive.getinfo(f"{name}.npy")
    with archive.open(info) as file:
        label = f"{path}: {name}"
        return _read_array(file, info.file_size, name, partial(check or partial(_check_header, name), label))


def _read_array(
    file: IO[bytes], size: int, name: str, check: Callable[[tuple[int, ...], np.dtype], None]
) -> np.ndarray:
    """Return the array in a file of `size` bytes. Raises an exception of UNREADABLE, or that of `check`."""
    shape, dtype = _read_header(file)
    announced, held = prod(shape) * dtype.itemsize, size - file.tell()
    if announced != held:
        raise ValueError(f"{name} announces {announced:,} bytes of data, but {held:,} follow")
    check(shape, dtype)
    file.seek(0)
    return npy.read_array(file, allow_pickle=False)


def _read_header(file: IO[bytes]) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and type of the `.npy` data at the beginning of the file. Raises an exception of UNREADABLE."""
    version = npy.read_magic(file)
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"version {version[0]}.{version[1]} of the .npy format is for structures, not for images")
    shape, _, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError("it holds Python objects, which are never unpickled")
    if any(size < 0 for size in shape):
        raise ValueError(f"the shape {shape} is impossible")
    return shape, dtype


def _check_header(name: str, label: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    if name in TEXTS:
        if dtype.kind != "U" or shape or dtype.itemsize > MOST_TEXT_BYTES:
            raise TriptychError(f"{label} must be a short text, but it is {dtype} of shape {shape}")
        return
    if name.startswith("x_") and dtype != np.uint8:
        raise TriptychError(f"{label} holds {dtype}, but images must be uint8 from 0 to 255")
    if name.startswith("y_") and dtype.kind not in "iu":
        raise TriptychError(f"{label} must be a list of integers, but it is {dtype} of shape {shape}")
    refuse_too_large(label, shape)

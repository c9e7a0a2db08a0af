"""Readers of published layouts: IDX files, the `.amat` text of binarised MNIST, and CIFAR-10's binary batches."""

from __future__ import annotations

import gzip
import struct
import zlib
from math import prod
from pathlib import Path
from typing import IO

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.files import CHUNK, read_bytes, readable
from triptych.data.npz_files import MOST_IMAGES, refuse_too_many

AGAIN = "copy it again"
IDX_UINT8 = 0x08
IDX_DIMENSIONS = (1, 3)  # of labels and of images
AMAT_SPLITS = ("train", "valid", "test")
AMAT_NAME = "binarized_mnist_{}.amat"
CIFAR_BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
CIFAR_SHAPE = (3, 32, 32)
CIFAR_RECORD = 1 + prod(CIFAR_SHAPE)
AMAT_LINE = 2 * 784  # bytes, or a few more: a symbol and a space, or the end of the line, a pixel
AMAT_BEGINNING = 4096  # bytes whose look tells a text of 0 and 1 from another file
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def read_idx(path: Path) -> np.ndarray:
    """A uint8 array from an IDX file, plain or gzipped: 0, 0, type, dimensions, sizes (big-endian), then the bytes.

    No more is unpacked than the header announces, and no header that announces too much is believed.
    """
    with readable(path, AGAIN), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            return _read_idx(file, path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TriptychError(f"{path} is not a readable gzip file ({error}): {AGAIN}") from None


def _read_idx(file: IO[bytes], path: Path) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != IDX_UINT8 or start[3] not in IDX_DIMENSIONS:
        raise TriptychError(f"{path} is not an IDX file of grey images or labels, as bytes: {AGAIN}")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise TriptychError(f"{path} ends inside its header: {AGAIN}")
    shape = struct.unpack(f">{start[3]}I", sizes)
    refuse_too_many(str(path), shape)
    announced = prod(shape)
    content = _read_at_most(file, announced + 1)
    if len(content) != announced:
        found = "more" if len(content) > announced else f"{len(content):,}"
        raise TriptychError(
            f"{path} should hold {announced:,} bytes of data after its header, but holds {found}: {AGAIN}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: IO[bytes], most: int) -> bytearray:
    """In pieces: asked for all at once, a file would make room for all that it announces."""
    content = bytearray()
    while piece := file.read(min(CHUNK, most - len(content))):
        content += piece
    return content


def read_torchvision_mnist(folder: Path) -> dict[str, np.ndarray]:
    """The four arrays of `MNIST/raw`, the layout that `torchvision.datasets.MNIST` leaves behind."""
    arrays = {}
    for name, file_name in IDX_NAMES.items():
        plain, packed = folder / file_name, folder / f"{file_name}.gz"
        if not plain.exists() and not packed.exists():
            raise TriptychError(f"{plain} is missing: copy all of its folder")
        arrays[name] = read_idx(plain if plain.exists() else packed)
    return arrays


def read_amat(path: Path) -> np.ndarray:
    """Binarised images (n, 28, 28) of 0 and 1 from a text file with 784 numbers a line."""
    content = read_bytes(path, MOST_IMAGES * AMAT_LINE, AGAIN)
    if not content[:AMAT_BEGINNING].isascii() or b"\0" in content[:AMAT_BEGINNING]:
        raise TriptychError(f"{path} is no text, but a binarised image is made of 0 and 1: {AGAIN}")
    text = np.frombuffer(content, np.uint8)
    symbols = text[(text != ord(" ")) & (text != ord("\n")) & (text != ord("\r"))]
    pixels = symbols - ord("0")
    if len(pixels) == 0 or pixels.max() > 1:
        raise TriptychError(
            f"{path} holds {chr(symbols[pixels > 1][0])!r}, but a binarised image is made of 0 and 1"
            if len(pixels)
            else f"{path} is empty"
        )
    is_symbol = (text == ord("0")) | (text == ord("1"))
    ends = np.append(np.flatnonzero(text == ord("\n")), len(text) - 1)
    lengths = np.diff(np.cumsum(is_symbol)[ends], prepend=0)
    wrong = np.flatnonzero((lengths != 784) & ~((lengths == 0) & (ends == len(text) - 1)))
    if len(wrong):
        line = int(wrong[0])
        raise TriptychError(f"{path}: line {line + 1:,} has {lengths[line]} numbers, not 784: {AGAIN}")
    return pixels.reshape(-1, 28, 28)


def read_amat_folder(folder: Path) -> dict[str, np.ndarray]:
    """The three splits of binarised MNIST from their `.amat` files."""
    arrays = {}
    for split in AMAT_SPLITS:
        path = folder / AMAT_NAME.format(split)
        if not path.exists():
            raise TriptychError(f"{path} is missing: copy all of its folder")
        arrays[f"x_{split}"] = read_amat(path)
    return arrays


def read_cifar_folder(folder: Path) -> dict[str, np.ndarray]:
    """The four arrays of `cifar-10-batches-bin`: records of one byte for the class and 3,072 for the pixels."""
    arrays = {}
    for split, names in CIFAR_BATCHES.items():
        batches = []
        for path in (folder / name for name in names):
            if not path.exists():
                raise TriptychError(f"{path} is missing: copy all of its folder")
            content = np.frombuffer(read_bytes(path, MOST_IMAGES * CIFAR_RECORD, AGAIN), np.uint8)
            if len(content) == 0 or len(content) % CIFAR_RECORD:
                raise TriptychError(f"{path} is not made of records of {CIFAR_RECORD:,} bytes: {AGAIN}")
            batches.append(content.reshape(-1, CIFAR_RECORD))
        records = np.concatenate(batches)
        arrays |= {f"x_{split}": records[:, 1:].reshape(-1, *CIFAR_SHAPE), f"y_{split}": records[:, 0]}
    return arrays

"""Readers of the published file formats: IDX (MNIST, KMNIST), `.amat` (binarised MNIST), binary batches (CIFAR-10)."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Callable
from math import prod
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.files import CHUNK, read_bytes, readable
from triptych.data.image_shapes import IMAGE_SHAPES, MOST_IMAGES, SPLITS, refuse_too_large

ADVICE = "copy it again"
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}
IDX_PATTERN = "*-ubyte*"
IDX_UINT8 = 0x08
IDX_DIMENSIONS = (1, 3)  # of labels and of images
AMAT_NAME = "binarized_mnist_{}.amat"
AMAT_SHAPE = IMAGE_SHAPES["binarized_mnist"]
AMAT_PIXELS = prod(AMAT_SHAPE)
AMAT_LINE = 2 * AMAT_PIXELS  # bytes: each symbol is followed by a space or by the end of the line
CIFAR_FOLDER = "cifar-10-batches-bin"
CIFAR_BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
CIFAR_SHAPE = IMAGE_SHAPES["cifar10"]
CIFAR_RECORD = 1 + prod(CIFAR_SHAPE)


def read_torchvision_mnist(folder: Path) -> dict[str, np.ndarray]:
    """Return the four arrays of a folder `raw` that torchvision writes for MNIST, Fashion-MNIST or KMNIST."""
    arrays = {}
    for name, file_name in IDX_NAMES.items():
        plain, packed = folder / file_name, folder / f"{file_name}.gz"
        arrays[name] = read_idx(packed if packed.exists() and not plain.exists() else plain)
    return arrays


def read_idx(path: Path) -> np.ndarray:
    """Return the uint8 array of an IDX file, plain or gzipped.

    The format: 0, 0, type, number of dimensions, sizes (big-endian uint32), then the data.
    Raises TriptychError if the sizes are implausible or the data is shorter or longer than they announce.
    """
    with readable(path, ADVICE), gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        try:
            return _read_idx(file, path)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise TriptychError(f"{path} is not a readable gzip file ({error}): {ADVICE}") from None


def _read_idx(file: IO[bytes], path: Path) -> np.ndarray:
    start = file.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] != IDX_UINT8 or start[3] not in IDX_DIMENSIONS:
        raise TriptychError(f"{path} is not an IDX file of grey images or labels in bytes: {ADVICE}")
    sizes = file.read(4 * start[3])
    if len(sizes) < 4 * start[3]:
        raise TriptychError(f"{path} ends inside its header: {ADVICE}")
    shape = struct.unpack(f">{start[3]}I", sizes)
    refuse_too_large(str(path), shape)
    announced = prod(shape)
    content = _read_at_most(file, announced + 1)
    if len(content) != announced:
        found = "more" if len(content) > announced else f"{len(content):,}"
        raise TriptychError(
            f"{path} should hold {announced:,} bytes of data after its header, but holds {found}: {ADVICE}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _read_at_most(file: IO[bytes], most: int) -> bytearray:
    """Read in pieces: a single `read(most)` would allocate memory for data that the file may not hold."""
    content = bytearray()
    while piece := file.read(min(CHUNK, most - len(content))):
        content += piece
    return content


def read_amat_folder(folder: Path) -> dict[str, np.ndarray]:
    """Return the images of the three splits of binarised MNIST."""
    return {f"x_{split}": read_amat(folder / AMAT_NAME.format(split)) for split in SPLITS}


def read_amat(path: Path) -> np.ndarray:
    """Return binarised images (n, 28, 28) of 0 and 1 from a text file with 784 numbers per line."""
    content = read_bytes(path, MOST_IMAGES * AMAT_LINE, ADVICE)
    if unexpected := content.translate(None, b"01 \r\n"):
        raise TriptychError(f"{path} holds {chr(unexpected[0])!r}, but a binarised image is text of 0 and 1: {ADVICE}")
    lines = content.translate(None, b" \r").rstrip().split(b"\n")
    for number, line in enumerate(lines, 1):
        if len(line) != AMAT_PIXELS:
            raise TriptychError(f"{path}: line {number:,} has {len(line)} numbers, not {AMAT_PIXELS}: {ADVICE}")
    return (np.frombuffer(b"".join(lines), np.uint8) - ord("0")).reshape(-1, *AMAT_SHAPE)


def read_cifar_folder(folder: Path) -> dict[str, np.ndarray]:
    """Return the four arrays of `cifar-10-batches-bin`; a record is one byte for the class and 3,072 for the pixels."""
    arrays = {}
    for split, names in CIFAR_BATCHES.items():
        records = np.concatenate([_read_cifar_batch(folder / name) for name in names])
        arrays |= {f"x_{split}": records[:, 1:].reshape(-1, *CIFAR_SHAPE), f"y_{split}": records[:, 0]}
    return arrays


def _read_cifar_batch(path: Path) -> np.ndarray:
    content = np.frombuffer(read_bytes(path, MOST_IMAGES * CIFAR_RECORD, ADVICE), np.uint8)
    if len(content) == 0 or len(content) % CIFAR_RECORD:
        raise TriptychError(f"{path} does not consist of records of {CIFAR_RECORD:,} bytes: {ADVICE}")
    return content.reshape(-1, CIFAR_RECORD)


class PublishedFormat(NamedTuple):
    """The published files of one data set: their folder in the user's folder, their names, and their reader."""

    folder: str
    pattern: str
    read: Callable[[Path], dict[str, np.ndarray]]


FORMATS = {
    "mnist": PublishedFormat("MNIST/raw", IDX_PATTERN, read_torchvision_mnist),
    "fashion_mnist": PublishedFormat("FashionMNIST/raw", IDX_PATTERN, read_torchvision_mnist),
    "kmnist": PublishedFormat("KMNIST/raw", IDX_PATTERN, read_torchvision_mnist),
    "binarized_mnist": PublishedFormat("binarized_mnist", AMAT_NAME.format("*"), read_amat_folder),
    "cifar10": PublishedFormat(CIFAR_FOLDER, "*_batch*.bin", read_cifar_folder),
}

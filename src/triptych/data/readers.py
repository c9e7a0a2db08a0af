"""Readers of published layouts: IDX files, the `.amat` text of binarised MNIST, and CIFAR-10's binary batches."""

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np

from triptych.errors import TriptychError

IDX_UINT8 = 0x08
AMAT_SPLITS = ("train", "valid", "test")
AMAT_NAME = "binarized_mnist_{}.amat"
CIFAR_BATCHES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
CIFAR_SHAPE = (3, 32, 32)
IDX_NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def read_idx(path: Path) -> np.ndarray:
    """A uint8 array from an IDX file, plain or gzipped: 0, 0, type, dimensions, sizes (big-endian), then the bytes."""
    try:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TriptychError(f"{path} is not a readable gzip file ({error}): copy it again") from None
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != IDX_UINT8:
        raise TriptychError(f"{path} is not an IDX file of bytes")
    dimensions = content[3]
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise TriptychError(f"{path} ends inside its header: copy it again")
    shape = struct.unpack(f">{dimensions}I", content[4:header])
    if len(content) - header != int(np.prod(shape)):
        raise TriptychError(
            f"{path} should hold {int(np.prod(shape)):,} bytes of data after its header, but holds "
            f"{len(content) - header:,}: copy it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_torchvision_mnist(folder: Path) -> dict[str, np.ndarray]:
    """The four arrays of `MNIST/raw`, the layout that `torchvision.datasets.MNIST` leaves behind."""
    arrays = {}
    for name, file_name in IDX_NAMES.items():
        plain, packed = folder / file_name, folder / f"{file_name}.gz"
        if not plain.exists() and not packed.exists():
            raise TriptychError(f"{plain} is missing")
        arrays[name] = read_idx(plain if plain.exists() else packed)
    return arrays


def read_amat(path: Path) -> np.ndarray:
    """Binarised images (n, 28, 28) of 0 and 1 from a text file with 784 numbers a line."""
    text = np.frombuffer(path.read_bytes(), np.uint8)
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
        raise TriptychError(f"{path}: line {line + 1:,} has {lengths[line]} numbers, not 784: copy it again")
    return pixels.reshape(-1, 28, 28)


def read_amat_folder(folder: Path) -> dict[str, np.ndarray]:
    """The three splits of binarised MNIST from their `.amat` files."""
    arrays = {}
    for split in AMAT_SPLITS:
        path = folder / AMAT_NAME.format(split)
        if not path.exists():
            raise TriptychError(f"{path} is missing")
        arrays[f"x_{split}"] = read_amat(path)
    return arrays


def read_cifar_folder(folder: Path) -> dict[str, np.ndarray]:
    """The four arrays of `cifar-10-batches-bin`: records of one byte for the class and 3,072 for the pixels."""
    arrays = {}
    record = 1 + int(np.prod(CIFAR_SHAPE))
    for split, names in CIFAR_BATCHES.items():
        batches = []
        for path in (folder / name for name in names):
            if not path.exists():
                raise TriptychError(f"{path} is missing")
            content = np.frombuffer(path.read_bytes(), np.uint8)
            if len(content) == 0 or len(content) % record:
                raise TriptychError(f"{path} is not made of records of {record:,} bytes: copy it again")
            batches.append(content.reshape(-1, record))
        records = np.concatenate(batches)
        arrays |= {f"x_{split}": records[:, 1:].reshape(-1, *CIFAR_SHAPE), f"y_{split}": records[:, 0]}
    return arrays

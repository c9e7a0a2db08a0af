"""Where raw images come from: embedded, a folder of the user's, or the public files."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import itertools
import os
import ssl
import tarfile
import zlib
from http.client import HTTPException
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError

from triptych.core.errors import TriptychError
from triptych.core.files import CHUNK, atomic_file, atomic_folder, expanded
from triptych.core.hashing import sha256_of_file
from triptych.data.embedded import EMBEDDED
from triptych.data.npz_files import read_npz
from triptych.data.raw_images import ImageSet, check
from triptych.data.readers import AMAT_NAME, CIFAR_BATCHES, read_amat_folder, read_cifar_folder, read_torchvision_mnist

if TYPE_CHECKING:
    import numpy as np

    from triptych.data.settings import Embedded, Splits

FOLDER_VARIABLE = "TRIPTYCH_DATA"
AMAT_ADDRESS = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
AMAT_MD5 = {
    "train": "db28b1a6ae0fe70cbd3da91acf46e477",
    "valid": "bf37822a04e94123630de6a7dfd9c9ef",
    "test": "14e41ae11040adba6ab8cb291eda0dd8",
}
CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
CIFAR_FOLDER = "cifar-10-batches-bin"
NETWORK_ERRORS = (URLError, HTTPException, ConnectionError, TimeoutError, ssl.SSLError)
MOST_BYTES = 1 << 30  # of a download, or of one file in an archive
LAYOUTS = {
    "mnist": "mnist.npz or torchvision's MNIST/raw",
    "binarized_mnist": "binarized_mnist.npz or binarized_mnist/binarized_mnist_{train,valid,test}.amat",
    "cifar10": f"cifar10.npz or {CIFAR_FOLDER}/*.bin",
}


READERS = {"mnist": read_torchvision_mnist, "binarized_mnist": read_amat_folder, "cifar10": read_cifar_folder}


def resolve(source: str) -> str:
    """What `auto` means here and now: the folder if the user names one, else the public files."""
    if source == "auto":
        return "folder" if os.environ.get(FOLDER_VARIABLE) else "public"
    return source


def load(images: str, source: str, embedded: Embedded, splits: Splits, downloads: Path) -> ImageSet:
    """The raw image set `images` (`mnist`, `binarized_mnist` or `cifar10`) from the given source, checked.

    Raises TriptychError if the folder, a file or the network is missing, or if an image is not what it should be.
    """
    kind = resolve(source)
    if kind == "embedded":
        return EMBEDDED[images](embedded, splits)
    arrays, origin, words = from_folder(images) if kind == "folder" else from_public(images, downloads)
    return ImageSet(check(arrays, origin, images), words, kind)


def user_folder() -> Path:
    """The folder that the user names. Raises TriptychError if it is not set or not there."""
    name = os.environ.get(FOLDER_VARIABLE)
    if not name:
        raise TriptychError(f"source: folder needs {FOLDER_VARIABLE}: set it to a folder with your .npz files")
    folder = expanded(name)
    if not _is_folder(folder):
        raise TriptychError(f"{FOLDER_VARIABLE} names {folder}, which is not a folder: create it or correct the name")
    return folder


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # one that cannot be looked into, or a name that is too long
        return False


def folder_files(images: str) -> list[Path]:
    """The files of the user's folder that hold this image set: one `.npz`, or the published raw files."""
    folder = user_folder()
    archive = folder / f"{images}.npz"
    if os.path.lexists(archive):  # also a folder, or a link to nothing: then reading it says so
        return [archive]
    place, pattern = {
        "mnist": (Path("MNIST") / "raw", "*-ubyte*"),
        "binarized_mnist": (Path("binarized_mnist"), AMAT_NAME.format("*")),
        "cifar10": (Path(CIFAR_FOLDER), "*_batch*.bin"),
    }[images]
    raw = folder / place
    if images == "binarized_mnist" and not _is_folder(raw):
        raw = folder
    files = sorted(raw.glob(pattern))
    if not files:
        raise TriptychError(f"{folder} ({FOLDER_VARIABLE}) has no {images}: put {LAYOUTS[images]} there")
    return files


def folder_checksum(images: str) -> str:
    """One SHA-256 over the files that `from_folder` would read: tells whether the user's data has changed."""
    return hashlib.sha256("".join(map(sha256_of_file, folder_files(images))).encode()).hexdigest()


def from_folder(images: str) -> tuple[dict[str, np.ndarray], str, str]:
    """Arrays, their origin for error messages, and words for the record, from the user's folder."""
    files = folder_files(images)
    checksum = folder_checksum(images)
    arrays = read_npz(files[0]) if files[0].suffix == ".npz" else READERS[images](files[0].parent)
    origin = str(files[0] if files[0].suffix == ".npz" else files[0].parent)
    return arrays, origin, f"the user's folder, {files[0].name if len(files) == 1 else images} (sha256 {checksum})"


def from_public(images: str, downloads: Path) -> tuple[dict[str, np.ndarray], str, str]:
    """Arrays, their origin for error messages, and words for the record, from the public files, verified by MD5."""
    folder = downloads / images
    download, place, words = {
        "mnist": (download_mnist, folder / "MNIST" / "raw", "MNIST, as torchvision downloads it"),
        "binarized_mnist": (download_amat, folder, "binarised MNIST (Larochelle), the published .amat files"),
        "cifar10": (download_cifar, folder / CIFAR_FOLDER, "CIFAR-10, the published binary version"),
    }[images]
    download(folder)
    return READERS[images](place), str(folder), words


def download_mnist(folder: Path) -> None:
    """MNIST through torchvision, which verifies the published MD5 of each archive before unpacking it."""
    from torchvision.datasets import MNIST

    if folder.exists():  # it took its name only when it was complete
        return
    with atomic_folder(folder) as draft:
        try:
            MNIST(str(draft), train=True, download=True)
        except (*NETWORK_ERRORS, RuntimeError) as error:
            raise TriptychError(_no_network("mnist", error)) from None


def download_amat(folder: Path) -> None:
    """The three `.amat` files; each takes its name only after its MD5 is as published."""
    for split, expected in AMAT_MD5.items():
        name = AMAT_NAME.format(split)
        if not (folder / name).exists():
            with atomic_file(folder / name) as draft:
                _download(AMAT_ADDRESS + name, draft, expected, "binarized_mnist")


def download_cifar(folder: Path) -> None:
    """The archive of CIFAR-10's binary version, opened only after its MD5 is as published."""
    if folder.exists():  # it took its name only when it was complete
        return
    with atomic_folder(folder) as draft:
        archive = draft / "archive.tar.gz"
        _download(CIFAR_ADDRESS, archive, CIFAR_MD5, "cifar10")
        unpack_cifar(archive, draft / CIFAR_FOLDER)
        archive.unlink()


def unpack_cifar(archive: Path, place: Path) -> None:
    """The batches of an archive as files in the new folder `place`. Raises TriptychError if one is not in it."""
    place.mkdir()
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for name in itertools.chain(*CIFAR_BATCHES.values()):
                (place / name).write_bytes(_file_in(packed, f"{CIFAR_FOLDER}/{name}"))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TriptychError(f"the archive of CIFAR-10 cannot be read ({error}): try again later") from None


def _file_in(packed: tarfile.TarFile, name: str) -> bytes:
    """A file's content by its exact name: links, devices and whatever else the archive holds are left alone."""
    member = next((member for member in packed if member.name == name), None)
    if member is None or not member.isreg() or member.size > MOST_BYTES:
        raise TriptychError(f"the archive of CIFAR-10 holds no file {name}: try again later")
    return packed.extractfile(member).read()


def _download(address: str, place: Path, md5: str, images: str) -> None:
    """One file, refused if its MD5 is not as published."""
    from urllib.request import urlopen

    digest = hashlib.md5(usedforsecurity=False)
    try:
        reply = urlopen(address, timeout=60)  # noqa: S310 (one of the addresses above)
        with contextlib.closing(reply), place.open("wb") as file:
            while (chunk := reply.read(CHUNK)) and file.tell() < MOST_BYTES:
                digest.update(chunk)
                file.write(chunk)
    except NETWORK_ERRORS as error:
        raise TriptychError(_no_network(images, error)) from None
    if digest.hexdigest() != md5:
        name = address.rsplit("/", 1)[1]
        raise TriptychError(f"the download of {name} does not have its published MD5: try again later")


def _no_network(images: str, error: Exception) -> str:
    reason = " ".join(str(error).split()) or type(error).__name__
    return (
        f"{images} could not be downloaded ({reason}): connect to the network, "
        f"or set {FOLDER_VARIABLE} to a folder with {LAYOUTS[images]}"
    )

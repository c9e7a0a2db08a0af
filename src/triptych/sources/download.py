"""Download of the public image files, verified by their published MD5 checksums."""

from __future__ import annotations

import gzip
import itertools
import tarfile
import zlib
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from triptych.core.downloads import MOST_BYTES, NETWORK_ERRORS, download_file
from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, atomic_folder, disk_errors
from triptych.core.messages import one_line
from triptych.sources.published_formats import AMAT_NAME, CIFAR_BATCHES, CIFAR_FOLDER, FORMATS
from triptych.sources.user_folder import FOLDER_VARIABLE, accepted_files

AMAT_ADDRESS = "http://www.cs.toronto.edu/~larocheh/public/datasets/binarized_mnist/"
AMAT_MD5 = {
    "train": "db28b1a6ae0fe70cbd3da91acf46e477",
    "valid": "bf37822a04e94123630de6a7dfd9c9ef",
    "test": "14e41ae11040adba6ab8cb291eda0dd8",
}
CIFAR_ADDRESS = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
TORCHVISION = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST", "kmnist": "KMNIST"}  # names of its classes


def download(images: str, downloads: Path) -> tuple[Path, str]:
    """Download an image set unless it is there; return the folder of its files and a description for the records.

    Another process that downloads the same images at the same time waits. Raises TriptychError if the network is
    missing, if a checksum differs, or if the folder cannot be written.
    """
    folder, lock = downloads / images, FileLock(downloads / f"{images}.lock")
    if not _is_complete(images, folder):
        with disk_errors(downloads):
            downloads.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        try:
            _download(images, folder)
        finally:
            lock.release()
    if images == "binarized_mnist":
        return folder, "binarised MNIST (Larochelle), the published .amat files"
    if images == "cifar10":
        return folder / CIFAR_FOLDER, "CIFAR-10, the published binary version"
    return folder / FORMATS[images].folder, f"{TORCHVISION[images]}, as torchvision downloads it"


def _is_complete(images: str, folder: Path) -> bool:
    if images == "binarized_mnist":  # its files are downloaded one by one
        return all((folder / AMAT_NAME.format(split)).exists() for split in AMAT_MD5)
    return folder.exists()


def _download(images: str, folder: Path) -> None:
    """Download what is missing, unless another process has done so meanwhile."""
    if images == "binarized_mnist":
        download_amat(folder)
    elif not folder.exists():
        with atomic_folder(folder) as draft:
            _download_cifar(draft) if images == "cifar10" else _download_mnist(draft, images)


def download_amat(folder: Path) -> None:
    """Download the three `.amat` files; a file gets its name only after its MD5 is verified."""
    for split, expected in AMAT_MD5.items():
        name = AMAT_NAME.format(split)
        if not (folder / name).exists():
            with atomic_file(folder / name) as draft:
                _download_first([AMAT_ADDRESS + name], draft, expected, "binarized_mnist")


def _download_mnist(folder: Path, images: str) -> None:
    """Download the archives of MNIST or a relative, from the addresses and with the MD5 sums that torchvision knows."""
    from torchvision import datasets

    published, place = getattr(datasets, TORCHVISION[images]), folder / FORMATS[images].folder
    place.mkdir(parents=True)
    for name, md5 in published.resources:
        _download_first([mirror + name for mirror in published.mirrors], place / name, md5, images)


def _download_cifar(folder: Path) -> None:
    """Download the archive of CIFAR-10's binary version; it is opened only after its MD5 is verified."""
    archive = folder / "archive.tar.gz"
    _download_first([CIFAR_ADDRESS], archive, CIFAR_MD5, "cifar10")
    unpack_cifar(archive, folder / CIFAR_FOLDER)
    archive.unlink()


def unpack_cifar(archive: Path, folder: Path) -> None:
    """Write the batches of an archive into the new folder. Raises TriptychError if a batch is missing."""
    folder.mkdir()
    try:
        with tarfile.open(archive, "r:gz") as packed:
            for name in itertools.chain(*CIFAR_BATCHES.values()):
                (folder / name).write_bytes(_file_in(packed, f"{CIFAR_FOLDER}/{name}"))
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise TriptychError(f"the archive of CIFAR-10 cannot be read ({error}): try again later") from None


def _file_in(packed: tarfile.TarFile, name: str) -> bytes:
    """Return the content of the regular file of exactly this name; links, devices and other members are ignored."""
    member = next((member for member in packed if member.name == name), None)
    if member is None or not member.isreg() or member.size > MOST_BYTES:
        raise TriptychError(f"the archive of CIFAR-10 holds no file {name}: try again later")
    return packed.extractfile(member).read()


def _download_first(addresses: Sequence[str], path: Path, md5: str, images: str) -> None:
    """Write the file of the first address that delivers it with this MD5 sum. Raises TriptychError if none does."""
    for address in addresses:
        try:
            if download_file(address, path, "md5") == md5:
                return
        except NETWORK_ERRORS as error:
            problem = _no_network(images, error)
        else:
            name = address.rsplit("/", 1)[1]
            problem = f"the download of {name} does not have its published MD5: try again later"
    raise TriptychError(problem)


def _no_network(images: str, error: Exception) -> str:
    return (
        f"{images} could not be downloaded ({one_line(error)}): connect to the network, "
        f"or set {FOLDER_VARIABLE} to a folder with {accepted_files(images)}"
    )

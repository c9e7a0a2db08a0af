"""Images in the folder that the user names in the environment variable TRIPTYCH_DATA."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np

from triptych.core.errors import TriptychError
from triptych.core.files import expanded
from triptych.core.hashing import sha256_of_file
from triptych.data.npz_files import read_npz
from triptych.data.raw_images import USER_FOLDER
from triptych.sources.published_formats import FORMATS

FOLDER_VARIABLE = "TRIPTYCH_DATA"


def read_user_folder(images: str) -> tuple[dict[str, np.ndarray], str, str]:
    """Return the arrays, their path for error messages, and a description of the source for the records."""
    files = folder_files(images)
    is_npz = files[0].suffix == ".npz"
    arrays = read_npz(files[0]) if is_npz else FORMATS[images].read(files[0].parent)
    name = files[0].name if len(files) == 1 else images
    description = f"{USER_FOLDER}{name} (sha256 {folder_checksum(images)})"
    return arrays, str(files[0] if is_npz else files[0].parent), description


def folder_checksum(images: str) -> str:
    """Return the SHA-256 of the file that `read_user_folder` reads; of several files, that of their joined SHA-256."""
    first, *others = map(sha256_of_file, folder_files(images))
    return hashlib.sha256("".join([first, *others]).encode()).hexdigest() if others else first


def folder_files(images: str) -> list[Path]:
    """Return the files of the user's folder that hold this image set: one `.npz`, or the published files.

    Raises TriptychError if the folder or the files are missing.
    """
    name = os.environ.get(FOLDER_VARIABLE)
    if not name:
        raise TriptychError(f"source: folder needs {FOLDER_VARIABLE}: set it to a folder with your .npz files")
    folder = expanded(name)
    if not _is_folder(folder):
        raise TriptychError(f"{FOLDER_VARIABLE} names {folder}, which is not a folder: create it or correct the name")
    archive = folder / f"{images}.npz"
    if os.path.lexists(archive):  # if it is a folder or a broken link, reading it raises the error
        return [archive]
    published = folder / FORMATS[images].folder
    if images == "binarized_mnist" and not _is_folder(published):
        published = folder
    files = sorted(published.glob(FORMATS[images].pattern))
    if not files:
        raise TriptychError(f"{folder} ({FOLDER_VARIABLE}) has no {images}: put {accepted_files(images)} there")
    return files


def accepted_files(images: str) -> str:
    """Return in words which files may hold an image set."""
    return f"{images}.npz or {FORMATS[images].folder}/{FORMATS[images].pattern}"


def _is_folder(path: Path) -> bool:
    return os.path.isdir(path)  # noqa: PTH112 (Path.is_dir raises an error for some names)

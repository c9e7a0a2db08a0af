"""The choice of the image source: the user's own file, embedded images, the user's folder, or the public files."""

from __future__ import annotations

import os
from pathlib import Path

from triptych.data.own_images import read_own
from triptych.data.raw_images import ImageSet, check_images
from triptych.sources.download import download
from triptych.sources.embedded_images import EMBEDDED, embedded_images
from triptych.sources.published_formats import FORMATS
from triptych.sources.user_folder import FOLDER_VARIABLE, read_user_folder


def load_own(path: Path) -> ImageSet:
    """Return the checked own images of a path. Raises TriptychError as `read_own` does, or for a wrong range."""
    return ImageSet(check_images(read_own(path), str(path), "own"), f"own images, {path.name}", "own")


def load_images(images: str, source: str, downloads: Path) -> ImageSet:
    """Return the checked raw images of a published data set from a source.

    Raises TriptychError if the folder, a file or the network is missing, or if an array has a wrong shape or range.
    """
    kind = resolve_source(images, source)
    if kind == "embedded":
        return embedded_images(images)
    if kind == "folder":
        arrays, origin, description = read_user_folder(images)
    else:
        folder, description = download(images, downloads)
        arrays, origin = FORMATS[images].read(folder), str(folder)
    return ImageSet(check_images(arrays, origin, images), description, kind)


def resolve_source(images: str, source: str) -> str:
    """Return the source of published images: `auto` is the user's folder if it is set, else the public files.

    `embedded` means `auto` for images that the package does not hold.
    """
    if source == "auto" or (source == "embedded" and images not in EMBEDDED):
        return "folder" if os.environ.get(FOLDER_VARIABLE) else "public"
    return source

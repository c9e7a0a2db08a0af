"""The choice of the image source: embedded images, the user's folder, or the public files."""

from __future__ import annotations

import os
from pathlib import Path

from triptych.data.download import download
from triptych.data.embedded_images import embedded_images
from triptych.data.published_formats import FORMATS
from triptych.data.raw_images import ImageSet, check_images
from triptych.data.user_folder import FOLDER_VARIABLE, read_folder


def load_images(images: str, source: str, downloads: Path) -> ImageSet:
    """Return the checked raw images `mnist`, `binarized_mnist` or `cifar10` from a source.

    Raises TriptychError if the folder, a file or the network is missing, or if an array has a wrong shape or range.
    """
    kind = resolve_source(source)
    if kind == "embedded":
        return embedded_images(images)
    if kind == "folder":
        arrays, origin, description = read_folder(images)
    else:
        folder, description = download(images, downloads)
        arrays, origin = FORMATS[images].read(folder), str(folder)
    return ImageSet(check_images(arrays, origin, images), description, kind)


def resolve_source(source: str) -> str:
    """Return the source that is meant by `auto`: the user's folder if it is set, else the public files."""
    if source == "auto":
        return "folder" if os.environ.get(FOLDER_VARIABLE) else "public"
    return source

"""SHA-256 of files and of JSON data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from triptych.core.files import CHUNK, MOST_DATA, readable, refuse_larger
from triptych.core.json_files import canonical_json


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal. Raises TriptychError if it cannot be read."""
    digest = hashlib.sha256()
    with readable(path, "a readable file must stand there"), path.open("rb") as file:
        refuse_larger(path, MOST_DATA, "another file must stand there")
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """The SHA-256 of the data's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()

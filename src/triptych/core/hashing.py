"""SHA-256 of files and of JSON data."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import readable
from triptych.core.json_files import canonical_json


def sha256_of_file(path: Path, advice: str = "replace it by a readable file") -> str:
    """Return the SHA-256 of a file in hexadecimal. Raises TriptychError, with the advice, if it cannot be read."""
    with readable(path, advice), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_sha256(path: Path, expected: str, advice: str) -> None:
    """Raise TriptychError, which ends with the advice, unless the file can be read and has this SHA-256."""
    if sha256_of_file(path, advice) != expected:
        raise TriptychError(f"{path} is damaged: {advice}")


def sha256_of_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return the SHA-256 of the canonical JSON of the data in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()

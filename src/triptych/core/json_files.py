"""Reading and writing of JSON files."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.files import MOST_TEXT, atomic_file, read_bytes

MAKE_AGAIN = "delete it and run the stage that makes it again"


class Document(dict[str, Any]):
    """A JSON object of a file. A missing key raises TriptychError, because it means that the file is damaged."""

    def __init__(self, path: Path, data: dict[str, Any], advice: str = MAKE_AGAIN) -> None:
        super().__init__(data)
        self.path, self.advice = path, advice

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 (never returns)
        raise TriptychError(f"{self.path} is damaged: it has no {key}; {self.advice}")


def read_json(path: Path, advice: str = MAKE_AGAIN) -> Document:
    """Return the JSON object of a file. Raises TriptychError if the file is missing, or damaged: then with `advice`."""
    content = read_bytes(path, MOST_TEXT, "run the stage that makes it, for example with `triptych repro`")
    try:
        data = json.loads(
            content.decode(), object_hook=partial(Document, path, advice=advice), parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, Document):
        raise TriptychError(f"{path} is damaged: {advice}")
    return data


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is not JSON")


def write_json(path: Path, data: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Write indented JSON atomically. Raises ValueError for NaN and infinity, which JSON does not have."""
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def canonical_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """Return JSON that is equal, byte for byte, for equal data. Raises ValueError for NaN and infinity."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested mappings as one mapping with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def is_number(value: object) -> bool:
    """Return whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)

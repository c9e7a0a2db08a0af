"""Writing files so that a half-written one never stands under its final name."""

import errno
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path
from typing import Any

from triptych.errors import TriptychError

CHUNK = 1 << 20


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk into one sentence that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TriptychError(f"no space left on the disk while writing {path}: free some and run again") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise TriptychError(f"{path} cannot be written: {error.strerror}") from error
        raise


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the final name only if the block succeeds.

    After a power cut the name stands for the whole new file or for what was there before.
    """
    draft = _beside(path, "part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        try:
            yield draft
            _to_disk(draft)
            draft.replace(path)
            _to_disk(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it replaces `path` whole, and only if the block succeeds."""
    draft, retired = _beside(path, "part"), _beside(path, "old")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path)
        draft.mkdir()
        try:
            yield draft
            for part in (*draft.rglob("*"), draft):
                _to_disk(part)
            if path.exists():
                path.replace(retired)
            draft.replace(path)
            _to_disk(path.parent)
        finally:
            if retired.exists() and not path.exists():
                retired.replace(path)
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(retired, ignore_errors=True)


def copy_file(source: Path, target: Path) -> None:
    """Copy a file atomically."""
    with atomic_file(target) as draft:
        shutil.copyfile(source, draft)


def remove(path: Path) -> None:
    """Remove a file, if it is there; after a power cut it does not come back."""
    path.unlink(missing_ok=True)
    _to_disk(path.parent)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _to_disk(path: Path) -> None:
    """Return only when a file's bytes, or a folder's names, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sweep(path: Path) -> None:
    """Remove the drafts that killed processes left; put back what one of them had just moved out of the way."""
    for left in path.parent.glob(f".{escape(path.name)}.*"):
        owner = re.fullmatch(r"(\d+)\.(part|old)", left.name.removeprefix(f".{path.name}."))
        if not owner or (int(owner[1]) != os.getpid() and is_alive(int(owner[1]))):
            continue
        if owner[2] == "old" and not path.exists():
            left.replace(path)
        elif left.is_dir():
            shutil.rmtree(left)
        else:
            left.unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Whether this machine runs a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def canonical_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """JSON that is equal, byte for byte, for equal data; NaN and infinity are refused."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_json(path: Path, data: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Write readable JSON atomically; NaN and infinity are refused, since JSON has neither."""
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """Read JSON. Raises TriptychError if the file is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TriptychError(f"{path} does not exist: run the stage that makes it, `dvc repro` does") from None
    except (json.JSONDecodeError, UnicodeDecodeError):
        raise TriptychError(f"{path} is damaged: delete it and run the stage that makes it again") from None


def sha256_of_file(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_of_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """The SHA-256 of the data's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(data).encode()).hexdigest()


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)

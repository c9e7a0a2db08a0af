"""Files: what is written never stands half-written under its final name, what is read is not trusted."""

import errno
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from triptych.errors import TriptychError

CHUNK = 1 << 20
MOST_TEXT, MOST_DATA = 1 << 28, 1 << 36  # bytes of a file of JSON or CSV, and of any file
NOT_WRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG
)  # fmt: skip
MAKE_AGAIN = "delete it and run the stage that makes it again"


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn a full or read-only disk, or a place that no file can have, into one sentence that names the path."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise TriptychError(f"no space left on the disk while writing {path}: free some and run again") from error
        if error.errno in NOT_WRITABLE:
            raise TriptychError(f"{path} cannot be written: {error.strerror}") from error
        raise


@contextmanager
def readable(path: Path, advice: str) -> Iterator[None]:
    """Turn a file that is not there, is no file, or that the system does not give, into one sentence with the advice.

    Links are followed; a device or a pipe, which may never end, is no file.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TriptychError(f"{path} is not a file: {advice}")
        yield
    except FileNotFoundError:
        words = "is a link to nothing" if path.is_symlink() else "does not exist"
        raise TriptychError(f"{path} {words}: {advice}") from None
    except OSError as error:
        raise TriptychError(f"{path} cannot be read ({error.strerror or error}): {advice}") from None
    except MemoryError:
        raise TriptychError(f"{path} does not fit into memory: {advice}") from None


def expanded(name: str) -> Path:
    """The path of that name, `~` and `~user` expanded where there is such a user."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises where there is none)


def is_file(path: Path) -> bool:
    """Whether a file is there that can be looked at, whatever the name."""
    try:
        return path.is_file()
    except OSError:
        return False


def read_bytes(path: Path, most: int, advice: str) -> bytes:
    """The bytes of a file. Raises TriptychError, with the advice, if it cannot be read or has more than `most`."""
    with readable(path, advice):
        refuse_larger(path, most, advice)
        return path.read_bytes()


def refuse_larger(path: Path, most: int, advice: str) -> None:
    """Raises TriptychError, with the advice, if the file has more bytes than `most`."""
    size = path.stat().st_size
    if size > most:
        raise TriptychError(f"{path} has {size:,} bytes, more than the {most:,} that it may have: {advice}")


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to; it takes the final name only if the block succeeds."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it replaces `path` whole, and only if the block succeeds."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
    retired = path.with_name(f".{path.name}.{os.getpid()}.old")
    with disk_errors(path):
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        try:
            yield draft
            if path.exists():
                path.replace(retired)
            draft.replace(path)
        finally:
            if retired.exists() and not path.exists():
                retired.replace(path)
            shutil.rmtree(draft, ignore_errors=True)
            shutil.rmtree(retired, ignore_errors=True)


def canonical_json(data: Any) -> str:  # noqa: ANN401 (any JSON value)
    """JSON that is equal, byte for byte, for equal data; NaN and infinity are refused."""
    return json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)


def write_json(path: Path, data: Any) -> None:  # noqa: ANN401 (any JSON value)
    """Write readable JSON atomically; NaN and infinity are refused, since JSON has neither."""
    with atomic_file(path) as draft:
        draft.write_text(json.dumps(data, indent=2, allow_nan=False, ensure_ascii=False) + "\n", encoding="utf-8")


class Document(dict[str, Any]):
    """A JSON object of one of our files. A key that it lacks is damage to the file, and no bug of the reader's."""

    def __init__(self, path: Path, data: dict[str, Any]) -> None:
        super().__init__(data)
        self.path = path

    def __missing__(self, key: str) -> Any:  # noqa: ANN401 (never returns)
        raise TriptychError(f"{self.path} is damaged: it has no {key}; {MAKE_AGAIN}")


def read_json(path: Path) -> Document:
    """Read a JSON object of ours. Raises TriptychError if the file is missing or damaged."""
    content = read_bytes(path, MOST_TEXT, "run the stage that makes it, `dvc repro` does")
    try:
        data = json.loads(content.decode(), object_hook=partial(Document, path), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        data = None
    if not isinstance(data, Document):
        raise TriptychError(f"{path} is damaged: {MAKE_AGAIN}")
    return data


def _refuse_constant(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


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


def flatten(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, with dotted keys."""
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        flat |= flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def is_number(value: object) -> bool:
    """Whether a JSON value is a number; true and false are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)

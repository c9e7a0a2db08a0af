"""Files: what is written never stands half-written under its final name, what is read is not trusted."""

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.process_ids import is_alive

CHUNK = 1 << 20
MOST_TEXT, MOST_DATA = 1 << 28, 1 << 36  # bytes of a file of JSON or CSV, and of any file
NOT_WRITABLE = (
    errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP, errno.ENAMETOOLONG
)  # fmt: skip


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

"""Safe reading and atomic writing of files."""

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

CHUNK = 1 << 20  # bytes that are read at a time
MOST_TEXT, MOST_DATA = 1 << 28, 1 << 36  # bytes: limits for JSON and CSV files, and for any file
DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NOT_WRITABLE = {
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "make its folder writable"),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ELOOP), "remove what is at this path"),
    errno.ENAMETOOLONG: "choose a shorter path",
}
"""What to do, by error."""


def read_bytes(path: Path, most: int, advice: str) -> bytes:
    """Return the bytes of a file. Raises TriptychError if it cannot be read or has more than `most` bytes."""
    with readable(path, advice, most):
        return path.read_bytes()


@contextmanager
def readable(path: Path, advice: str, most: int = MOST_DATA) -> Iterator[None]:
    """Turn the failure to read a file into a TriptychError that names the path and ends with the advice.

    Links are followed. Devices and pipes, which may never end, and files of more than `most` bytes are refused.
    """
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            raise TriptychError(f"{path} is not a file: {advice}")
        if found.st_size > most:
            raise TriptychError(f"{path} has {found.st_size:,} bytes, more than the limit of {most:,}: {advice}")
        yield
    except FileNotFoundError:
        problem = "is a broken link" if path.is_symlink() else "does not exist"
        raise TriptychError(f"{path} {problem}: {advice}") from None
    except OSError as error:
        raise TriptychError(f"{path} cannot be read ({error.strerror or error}): {advice}") from None
    except MemoryError:
        raise TriptychError(f"{path} does not fit into memory: {advice}") from None


def is_file(path: Path) -> bool:
    """Return whether the path is a file; False, too, if the system refuses access."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises an error for some names)


def expanded(name: str) -> Path:
    """Return the path with `~` and `~user` expanded; an unknown user stays as it is."""
    return Path(os.path.expanduser(name))  # noqa: PTH111 (Path.expanduser raises an error for an unknown user)


@contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the failure to write a file, on a full or read-only disk for example, into a TriptychError with the path.

    An error about a file elsewhere stays as it is.
    """
    try:
        yield
    except OSError as error:
        if _is_elsewhere(error.filename, path.parent):
            raise
        if error.errno in DISK_FULL:
            raise TriptychError(f"no space left on the disk while writing {path}: free some and run again") from error
        if advice := NOT_WRITABLE.get(error.errno):
            raise TriptychError(f"{path} cannot be written ({error.strerror}): {advice} and run again") from error
        raise


def _is_elsewhere(name: object, folder: Path) -> bool:
    """Return whether the file that an error names, by its absolute path, is outside the folder."""
    return isinstance(name, str) and Path(name).is_absolute() and not Path(name).is_relative_to(folder.absolute())


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Yield a draft path beside `path`, which replaces `path` only if the block succeeds.

    After a power cut, `path` is either the complete new file or the earlier one.
    """
    draft = _beside(path, "part")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        try:
            yield draft
            _sync(draft)
            draft.replace(path)
            _sync(path.parent)
        finally:
            draft.unlink(missing_ok=True)


@contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty draft folder beside `path`, which replaces the whole of `path` only if the block succeeds."""
    draft, retired = _beside(path, "part"), _beside(path, "old")
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        draft.mkdir()
        try:
            yield draft
            for part in (*draft.rglob("*"), draft):
                _sync(part)
            if path.exists():
                path.replace(retired)
            draft.replace(path)
            _sync(path.parent)
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
    """Remove a file if it exists; it stays removed after a power cut."""
    path.unlink(missing_ok=True)
    _sync(path.parent)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.{kind}")


def _sync(path: Path) -> None:
    """Write the bytes of a file, or the names in a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_leftovers(path: Path) -> None:
    """Remove drafts of killed processes; if a process was killed while it replaced `path`, restore the earlier one."""
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

"""DVC's hashes of files and folders, and the files that DVC's cache holds for a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.messages import one_line
from triptych.repository.lock_file import read_stages

IGNORED = {"__pycache__", ".gitignore", "README.md"}  # .dvcignore names these too


def recorded_outputs(root: Path) -> dict[str, list[tuple[str, str]]]:
    """Return, by stage, the path and hash of each output in `dvc.lock`; empty if there is no such file.

    Raises TriptychError if the file is damaged.
    """
    return {name: [(out["path"], out["md5"]) for out in entry["outs"]] for name, entry in read_stages(root).items()}


def cached_files(root: Path, md5: str) -> Iterator[tuple[str, Path]]:
    """Yield the files in DVC's cache for a hash: one file with an empty name, or a folder's files by relative path.

    Raises TriptychError if the list of a folder's files is damaged.
    """
    cache = _cache_folder(root)
    cached = cache / md5[:2] / md5[2:]
    if not md5.endswith(".dir"):
        yield "", cached
    elif cached.exists():
        try:
            entries = [(entry["relpath"], entry["md5"]) for entry in json.loads(cached.read_text(encoding="utf-8"))]
        except (KeyError, TypeError, ValueError):
            raise TriptychError(f"DVC's cache is damaged: delete {cached}, and run the stage again") from None
        for name, each in entries:
            yield name, cache / each[:2] / each[2:]


def is_cached(root: Path, md5: str) -> bool:
    """Return whether DVC's cache holds all files for a hash."""
    files = list(cached_files(root, md5))
    return bool(files) and all(cached.exists() for _, cached in files)


def _cache_folder(root: Path) -> Path:
    """Return the folder of files in DVC's cache."""
    return cache_folder(root) / "files" / "md5"


def cache_folder(root: Path) -> Path:
    """Return the folder of DVC's cache: `.dvc/cache`, or the one that a configuration of DVC names.

    Raises TriptychError if DVC cannot read its configuration.
    """
    from dvc.config import Config, ConfigError

    try:
        return Path(Config(str(root / ".dvc"))["cache"].get("dir") or root / ".dvc" / "cache")
    except ConfigError as error:
        raise TriptychError(f"DVC cannot read its configuration ({one_line(error)}): run `dvc config --list`") from None


def content_hash(path: Path) -> str | None:
    """Return DVC's hash of a file or a folder; None if the path does not exist."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    if not path.is_dir():
        return None
    tracked = _tracked_files(path)
    listing = [{"md5": content_hash(tracked[name]), "relpath": name} for name in sorted(tracked)]
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"


def size_on_disk(path: Path) -> int | None:
    """Return the bytes of a file, or of all files in a folder that DVC tracks; None if the path does not exist."""
    if not path.exists():
        return None
    return sum(file.stat().st_size for file in (_tracked_files(path).values() if path.is_dir() else [path]))


def _tracked_files(folder: Path) -> dict[str, Path]:
    """Return the files in a folder that DVC does not ignore, by relative path."""
    files = {file.relative_to(folder): file for file in folder.rglob("*") if file.is_file()}
    return {name.as_posix(): file for name, file in files.items() if IGNORED.isdisjoint(name.parts)}

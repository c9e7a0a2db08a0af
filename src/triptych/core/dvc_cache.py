"""Hashes as DVC computes them, and the files that DVC's cache holds for a hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

from triptych.core.lock_file import read_stages

IGNORED = ("__pycache__", ".gitignore")  # in .dvcignore


def recorded_outputs(root: Path) -> dict[str, list[tuple[str, str]]]:
    """By stage, path and hash of each output that `dvc.lock` records; none where there is no such file.

    Raises TriptychError if it is damaged.
    """
    return {name: [(out["path"], out["md5"]) for out in entry["outs"]] for name, entry in read_stages(root).items()}


def _cache(root: Path) -> Path:
    """DVC's cache: beside the project, or, in a queued experiment, where `.dvc/config.local` says."""
    from configparser import ConfigParser, Error

    config = ConfigParser()
    try:
        config.read([root / ".dvc" / "config", root / ".dvc" / "config.local"])
        named = config.get("cache", "dir", fallback=None)
    except Error:
        named = None
    return (root / ".dvc" / named if named else root / ".dvc" / "cache") / "files" / "md5"


def cached_files(root: Path, md5: str) -> Iterator[tuple[str, Path]]:
    """The files in DVC's cache behind a hash: one without a name, or those of a folder by their relative paths."""
    cache = _cache(root)
    cached = cache / md5[:2] / md5[2:]
    if not md5.endswith(".dir"):
        yield "", cached
    elif cached.exists():
        for entry in json.loads(cached.read_text(encoding="utf-8")):
            yield entry["relpath"], cache / entry["md5"][:2] / entry["md5"][2:]


def content_hash(path: Path) -> str | None:
    """The hash that `dvc.lock` has of a file or a folder; None if there is neither."""
    if path.is_file():
        return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()
    if not path.is_dir():
        return None
    files = (file for file in path.rglob("*") if file.is_file() and not set(IGNORED) & set(file.parts))
    listing = [{"md5": content_hash(file), "relpath": file.relative_to(path).as_posix()} for file in files]
    listing.sort(key=lambda entry: entry["relpath"])
    return hashlib.md5(json.dumps(listing, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"

"""Let the stages of one process share one reading of params.yaml."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import cache, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dvc.dependency import ParamsDependency
    from dvc.fs import FileSystem
    from dvc.stage import Stage


def share_params(stages: Sequence[Stage]) -> None:
    """Let all stages compare their settings with one reading of params.yaml per process, until the file changes.

    DVC parses the file several times per stage and searches all of it for each key: its time grows with the square of
    the number of experiments. A reading is kept by the time, size and inode of the file.
    """
    from dvc.dependency import ParamsDependency
    from dvc.dependency.param import read_param_file

    @cache
    def read(path: str, fs: FileSystem, stamp: tuple[int, ...]) -> dict[str, Any]:
        return read_param_file(fs, path)

    def values(dependency: ParamsDependency) -> dict[str, Any]:
        status = Path(dependency.fs_path).stat()
        stamp = status.st_mtime_ns, status.st_size, status.st_ino
        found = _values_of(dependency.params, read(dependency.fs_path, dependency.fs, stamp))
        if len(found) < len(dependency.params):  # DVC also finds places in lists
            return ParamsDependency.read_params(dependency)
        return found

    for dependency in (dependency for stage in stages for dependency in stage.deps):
        if isinstance(dependency, ParamsDependency) and dependency.params and dependency.exists:
            dependency.read_params = partial(values, dependency)


def _values_of(keys: Sequence[str], settings: object) -> dict[str, Any]:
    """Return the values of the dotted keys that exist in the settings."""
    values = {}
    for key in keys:
        with suppress(KeyError, TypeError):
            values[key] = reduce(lambda part, name: part[name], key.split("."), settings)
    return values

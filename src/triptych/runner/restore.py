"""Restore the earlier results of a stage that failed.

DVC removes the outputs of a stage before it runs the stage. If the stage then refuses its settings or its data, the
earlier results are missing from the folder, though DVC's cache holds them and `dvc.lock` still describes them.
"""

import shutil
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.files import atomic_folder, copy_file
from triptych.core.messages import one_line
from triptych.repository.dvc_cache import cached_files, is_cached, recorded_outputs


def restore_outputs(root: Path, stage: str) -> None:
    """Restore the missing outputs of a stage from DVC's cache.

    Without earlier results, nothing happens. Raises TriptychError if `dvc.lock` or the cache is damaged.
    """
    try:
        for name, md5 in recorded_outputs(root).get(stage, ()):
            path = _path_in(root, name)
            if not path.exists() and is_cached(root, md5):
                _restore(path, list(cached_files(root, md5)))
    except (KeyError, OSError, TypeError, ValueError) as error:
        raise TriptychError(f"dvc.lock or DVC's cache is damaged ({one_line(error)}): run `dvc checkout`") from None


def _path_in(folder: Path, name: str) -> Path:
    """Return the path of a name in the folder. Raises ValueError if the name leads out of the folder."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} leads out of {folder}")
    return folder / name


def _restore(path: Path, files: list[tuple[str, Path]]) -> None:
    if not files[0][0]:
        copy_file(files[0][1], path)
        return
    with atomic_folder(path) as draft:
        for name, cached in files:
            copy = _path_in(draft, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(cached, copy)

"""Earlier results, put back after a stage that failed.

DVC removes a stage's outputs before it runs the stage. If the stage then refuses its settings or its data, the earlier
results would be gone from the folder, though they are still in DVC's cache and still described by `dvc.lock`.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from triptych.core.dvc_cache import cached_files, recorded_outputs
from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, atomic_folder

STAGE_VARIABLE = "DVC_STAGE"  # DVC sets it for the commands it runs


def restore_outputs(root: Path) -> list[Path]:
    """Put back the outputs of the stage that DVC is running, as `dvc.lock` describes them; return what was put back.

    Outside DVC, or where there was no earlier result, nothing happens.
    """
    stage = os.environ.get(STAGE_VARIABLE)
    if not stage:
        return []
    restored = []
    try:
        for name, md5 in recorded_outputs(root).get(stage, ()):
            place = _within(root, name)
            files = list(cached_files(root, md5))
            if not place.exists() and files and all(cached.exists() for _, cached in files):
                _put_back(place, files)
                restored.append(place)
    except (KeyError, OSError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise TriptychError(f"dvc.lock or DVC's cache is damaged ({reason}): run `dvc checkout`") from None
    return restored


def _within(folder: Path, name: str) -> Path:
    """A place in the folder. Raises ValueError where the name leads out of it; a link of the user's may."""
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"{name} leads out of {folder}")
    return folder / name


def _put_back(place: Path, files: list[tuple[str, Path]]) -> None:
    if files[0][0]:
        with atomic_folder(place) as draft:
            for name, cached in files:
                copy = _within(draft, name)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(cached, copy)
    else:
        with atomic_file(place) as draft:
            shutil.copyfile(files[0][1], draft)

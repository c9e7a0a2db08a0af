"""Files against `dvc.lock`: whether every output still is what its stage wrote."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from triptych.core.dvc_cache import cached_files, recorded_outputs
from triptych.core.file_names import MANIFEST, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json
from triptych.verify.finding import Finding, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.settings.params import Settings

LOCK = "dvc.lock"


def stages_of(settings: Settings) -> list[str]:
    """The names of all stages, as `dvc.yaml` makes them of the settings."""
    items = {
        "fetch": settings.datasets,
        "prepare": settings.datasets,
        "classifier": settings.classifiers,
        "reference": settings.references,
        "train": settings.experiments,
        "evaluate": settings.experiments,
        "study": settings.studies,
    }
    return [*(f"{stage}@{name}" for stage, names in items.items() for name in names), "report"]


def check_outputs(project: Project, settings: Settings) -> Iterator[Finding]:
    """Every output of every stage by its MD5, as DVC records it."""
    recorded = recorded_outputs(project.root)
    for stage in stages_of(settings):
        if stage not in recorded:
            yield Finding(stage, LOCK, Verdict.MISSING, "never ran, or ran without DVC: run `triptych repro`")
        for name, md5 in recorded.get(stage, ()):
            yield _compare(project.root, name, md5)


def _compare(root: Path, name: str, md5: str) -> Finding:
    path = root / name
    if not path.exists():
        return Finding(name, LOCK, Verdict.MISSING, "run `dvc checkout`, or `triptych repro`")
    if recorded_hash(path) == md5:
        return Finding(name, LOCK, Verdict.EQUAL)
    return Finding(name, LOCK, Verdict.CHANGED, f"{_changed_part(root, path, md5)} is not what its stage wrote")


def recorded_hash(path: Path) -> str:
    """What DVC calls a file, or a folder, of these contents."""
    return _md5_of_folder(path) if path.is_dir() else _md5_of_file(path)


def _md5_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _files_of(folder: Path) -> dict[str, str]:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): _md5_of_file(path) for path in paths}


def _md5_of_folder(folder: Path) -> str:
    """DVC's hash of a folder: of the JSON list of its files and their hashes."""
    entries = [{"md5": md5, "relpath": name} for name, md5 in sorted(_files_of(folder).items())]
    listing = json.dumps(entries, sort_keys=True).encode()
    return hashlib.md5(listing, usedforsecurity=False).hexdigest() + ".dir"


def _changed_part(root: Path, path: Path, md5: str) -> str:
    """Which file of a folder has changed, as far as DVC's cache still knows what was in it."""
    before = {name: cached.parent.name + cached.name for name, cached in cached_files(root, md5)}
    if not path.is_dir() or not before:
        return path.name
    now = _files_of(path)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return ", ".join(changed)


def check_weights(project: Project, names: Mapping[str, Path]) -> Iterator[Finding]:
    """The weights of each model against its manifest, and the manifest against the metrics that were measured with it.

    `names` are models and the metrics that belong to them.
    """
    for name, metrics in names.items():
        folder = project.model(name)
        if not (folder / MANIFEST).exists() or not (folder / WEIGHTS).exists():
            continue  # a missing output is named by `check_outputs`
        stated = read_json(folder / MANIFEST)["weights_sha256"]
        if sha256_of_file(folder / WEIGHTS) != stated:
            yield Finding(
                f"models/{name}/{WEIGHTS}", MANIFEST, Verdict.CHANGED, "these weights are not the trained ones"
            )
        elif metrics.exists() and read_json(metrics)["weights_sha256"] != stated:
            yield Finding(f"metrics/{metrics.name}", MANIFEST, Verdict.CHANGED, "measured with other weights")
        else:
            yield Finding(f"models/{name}/{WEIGHTS}", MANIFEST, Verdict.EQUAL)

"""Compare files on disk with `dvc.lock`, and weights with the manifests and results that name them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from triptych.core.file_names import MANIFEST, RESULTS, WEIGHTS
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json
from triptych.repository.dvc_cache import cached_files, content_hash, recorded_outputs
from triptych.repository.lock_file import LOCK
from triptych.repository.project import Project
from triptych.settings.params import Settings
from triptych.settings.sections import STAGE_SECTIONS
from triptych.verify.finding import Finding, Verdict


def check_outputs(project: Project, settings: Settings) -> Iterator[Finding]:
    """Compare every output of every stage with its hash in `dvc.lock`."""
    recorded = recorded_outputs(project.root)
    for stage in _stages_of(settings):
        if stage not in recorded:
            yield Finding(stage, LOCK, Verdict.MISSING, "the stage has not run under DVC: run `triptych repro`")
        for name, md5 in recorded.get(stage, ()):
            yield _check_output(project.root, name, md5)


def _stages_of(settings: Settings) -> list[str]:
    """Return the names of all stages, as `dvc.yaml` derives them from the settings."""
    return [
        *(f"{stage}@{name}" for stage, section in STAGE_SECTIONS.items() for name in getattr(settings, section)),
        "report",
    ]


def _check_output(root: Path, name: str, md5: str) -> Finding:
    path = root / name
    if not path.exists():
        return Finding(name, LOCK, Verdict.MISSING, "run `triptych repro`")
    if content_hash(path) == md5:
        return Finding(name, LOCK, Verdict.EQUAL)
    changed = ", ".join(_changed_files(root, path, md5)) or path.name
    return Finding(name, LOCK, Verdict.DAMAGED, f"{changed} changed after the stage wrote it: run `triptych repro`")


def _changed_files(root: Path, folder: Path, md5: str) -> list[str]:
    """Return the files of a folder that have changed; empty if DVC's cache does not list the files it had."""
    before = {name: cached.parent.name + cached.name for name, cached in cached_files(root, md5) if name}
    if not folder.is_dir() or not before:
        return []
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file()}
    return sorted(name for name in before.keys() | names if before.get(name) != content_hash(folder / name))


def check_weights(project: Project, names: Iterable[str]) -> Iterator[Finding]:
    """Compare the weights of each model with its manifest, and the manifest with the results of the model."""
    for name in names:
        folder, results = project.model(name), project.results(name)
        if not (folder / MANIFEST).exists() or not (folder / WEIGHTS).exists():
            continue  # `check_outputs` reports a missing output
        weights, recorded = f"models/{name}/{WEIGHTS}", read_json(folder / MANIFEST)["weights_sha256"]
        if sha256_of_file(folder / WEIGHTS) != recorded:
            yield Finding(
                weights,
                MANIFEST,
                Verdict.DAMAGED,
                "these are not the weights of the training run: run `triptych repro`",
            )
        elif results.exists() and read_json(results)["weights_sha256"] != recorded:
            detail = "these results belong to other weights: run `triptych repro`"
            yield Finding(f"plots/{name}/{RESULTS}", MANIFEST, Verdict.DAMAGED, detail)
        else:
            yield Finding(weights, MANIFEST, Verdict.EQUAL)

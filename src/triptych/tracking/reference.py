"""Reference results: what a full run gave, kept in git with all that is needed to judge it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from triptych.errors import TriptychError
from triptych.files import read_json, write_json
from triptych.tracking.journal import look_up

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.project import Project

FACTS = ("git_commit", "git_dirty", "machine", "device", "started", "train_seconds", "images_per_second")
LARGEST = 200_000  # bytes of one picture in git


def keep_reference(project: Project, name: str) -> None:
    """Write `metrics/reference/<name>.json` and `plots/reference/<name>/` from the results on disk.

    The file holds the metrics, the settings and data they are a function of, and the journal's facts of the run.
    Raises TriptychError if the experiment has not been evaluated.
    """
    metrics, manifest = read_json(project.metrics(name)), read_json(project.model(name) / "manifest.json")
    if metrics["weights_sha256"] != manifest["weights_sha256"]:
        raise TriptychError(f"metrics and model of {name} belong to different runs: run `dvc repro evaluate@{name}`")
    facts = look_up(project, "train", name, project.model(name) / "manifest.json")
    evaluated = look_up(project, "evaluate", name, project.metrics(name))
    reference = {
        **metrics,
        "settings": manifest["settings"],
        "runtime": manifest["runtime"],
        "splits": manifest["data"]["splits"],
        "run": {key: facts[key] for key in FACTS if key in facts}
        | {key: evaluated[key] for key in ("seconds_per_sample",) if key in evaluated},
    }
    write_json(project.root / "metrics" / "reference" / f"{name}.json", reference)
    _keep_pictures(project.plots(name), project.root / "plots" / "reference" / name)


def keep_comparison(project: Project) -> None:
    """Write `plots/reference/comparison/`: the pictures that show all experiments together."""
    _keep_pictures(project.comparison, project.root / "plots" / "reference" / "comparison")


def _keep_pictures(source: Path, place: Path) -> None:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    for picture in sorted(source.glob("[A-Z][0-9]*.png")):
        if picture.stat().st_size > LARGEST:
            raise TriptychError(
                f"{picture} has {picture.stat().st_size:,} bytes, more than {LARGEST:,}: draw it smaller"
            )
        shutil.copyfile(picture, place / picture.name)

"""Open a project and find its files, for the functions of the package and for the commands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.repository.project import Project
from triptych.settings.params import load

if TYPE_CHECKING:
    from triptych.settings.sections import Settings


def open_project(folder: str | Path | None = None) -> tuple[Project, Settings]:
    """Return the project around `folder`, by default the working directory, and its settings.

    Raises TriptychError if there is no project, or if its params.yaml is invalid.
    """
    project = find_project(folder)
    return project, load(project.params)


def find_project(folder: str | Path | None) -> Project:
    """Return the project around `folder`, by default the working directory. Raises TriptychError if there is none."""
    start = Path(folder or ".").resolve()
    if not start.is_dir():
        raise TriptychError(f"{start} is not a folder: name that of a project")
    return Project.find(start)


def model_folder(project: Project, settings: Settings, name: str) -> Path:
    """Return the folder of a trained experiment.

    Raises TriptychError if params.yaml has no such experiment, or if it is not trained.
    """
    settings.experiment(name)
    folder = project.model(name)
    if not (folder / MANIFEST).exists():
        raise TriptychError(f"{name} is not trained: run `triptych repro train@{name}`")
    return folder


def reference_folder(project: Project, settings: Settings, name: str) -> Path:
    """Return the folder with the statistics of a reference.

    Raises TriptychError if params.yaml has no such reference, or if its stage has not run.
    """
    settings.reference(name)
    folder = project.reference(name)
    if not (folder / MANIFEST).exists():
        stage = "reference" if name in settings.references else "classifier_reference"
        raise TriptychError(f"{folder} does not exist: run `triptych repro {stage}@{name}` first")
    return folder

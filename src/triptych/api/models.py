"""Load a trained experiment: from a project, from a model folder, or from MLflow's model registry."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from triptych.api.projects import find_project, model_folder, open_project
from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, read_json
from triptych.evaluation.results_file import measured
from triptych.inference.trained_model import TrainedModel
from triptych.records.mlflow.model_registry import download_version
from triptych.records.mlflow.store import URI_VARIABLE, Store
from triptych.records.run_folder import has_weights
from triptych.repository.project import Project

if TYPE_CHECKING:
    import torch

REGISTRY = "models:/"


def load(
    experiment: str | Path, *, project: str | Path | None = None, device: str | torch.device = "auto"
) -> TrainedModel:
    """Load a trained experiment.

    `experiment` is a name in params.yaml, the path of a model folder, or a model in MLflow's registry, such as
    `models:/vae-20d/1`. Names and MLflow's database belong to the project in the folder `project`, by default that of
    the working directory. If `MLFLOW_TRACKING_URI` is set, the registry is on that server. `device` is `auto`, `cpu`,
    `cuda`, `mps` or a PyTorch device. Raises TriptychError if the model is missing or damaged.

    >>> triptych.load("vae-20d")  # doctest: +ELLIPSIS
    <vae-20d: Variational autoencoder, images 28 by 28, ... epochs>
    >>> images = triptych.load("models/gan-mnist").sample(5, seed=1)
    >>> same = triptych.load("models:/gan-mnist/1").sample(5, seed=1)
    >>> bool((images == same).all())
    True
    """
    if not isinstance(experiment, str | Path):
        raise TriptychError(f"experiment is {experiment!r}: use the name of an experiment or a model folder")
    name, folder = str(experiment), Path(experiment)
    if name.startswith(REGISTRY):
        return _from_registry(name, project, str(device))
    if isinstance(experiment, Path) or os.sep in name or (folder / MANIFEST).is_file():
        return _from_folder(folder.resolve(), str(device))
    found, settings = open_project(project)
    if name not in settings.experiments and folder.is_dir():
        return _from_folder(folder.resolve(), str(device))
    return _from_folder(model_folder(found, settings, name), str(device))


def _from_folder(folder: Path, device: str) -> TrainedModel:
    if not (folder / MANIFEST).is_file():
        problem = "holds no trained experiment" if folder.is_dir() else "does not exist"
        raise TriptychError(f"{folder} {problem}: name a folder such as models/vae-20d")
    project = Project(folder.parent.parent)
    return TrainedModel.read(folder, device, folder.name, _results(project, folder), project)


def _results(project: Project, model: Path) -> dict[str, float]:
    """Return the numbers of the evaluation of a model in a project; none if it was of other weights."""
    path = project.results(model.name)
    if project.model(model.name) != model or not path.exists():
        return {}
    found = read_json(path)
    return measured(flatten(found)) if has_weights(model, found["weights_sha256"]) else {}


def _from_registry(uri: str, project: str | Path | None, device: str) -> TrainedModel:
    tracking_uri = os.environ.get(URI_VARIABLE) or _local_store(project)
    with TemporaryDirectory() as temporary:
        folder, numbers = download_version(uri, tracking_uri, Path(temporary))
        return TrainedModel.read(folder, device, uri, numbers)


def _local_store(project: str | Path | None) -> str:
    store = Store(find_project(project))
    if store.is_missing:
        raise TriptychError(f"{store.database} does not exist: run `triptych sync`, or set {URI_VARIABLE}")
    return store.uri

"""Load a trained experiment: from a project, from a model folder, or from MLflow's model registry."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from triptych.api.projects import open_project
from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import flatten, read_json
from triptych.core.json_schemas import measured
from triptych.core.project import Project
from triptych.evaluation.trained_model import TrainedModel
from triptych.records.mlflow.model_registry import download_version
from triptych.records.mlflow.store import URI_VARIABLE, Store

REGISTRY = "models:/"


def load(experiment: str | Path, *, project: str | Path | None = None, device: str = "auto") -> TrainedModel:
    """Load a trained experiment.

    `experiment` is a name in params.yaml, the path of a model folder, or a model in MLflow's registry, such as
    `models:/vae-20d/1`. Names and MLflow's database belong to the project in the folder `project`, by default that of
    the working directory. If `MLFLOW_TRACKING_URI` is set, the registry is on that server. `device` is `auto`, `cpu`,
    `cuda` or `mps`. Raises TriptychError if the model is missing or damaged.

    >>> triptych.load("vae-20d")
    <vae-20d: Variational autoencoder, images 28 by 28, 3 epochs>
    >>> images = triptych.load("models/gan-mnist").sample(5, seed=1)
    >>> same = triptych.load("models:/gan-mnist/1").sample(5, seed=1)
    >>> bool((images == same).all())
    True
    """
    if str(experiment).startswith(REGISTRY):
        return _from_registry(str(experiment), project, device)
    folder = Path(experiment)
    if isinstance(experiment, Path) or len(folder.parts) > 1 or (folder / MANIFEST).is_file():
        folder = folder.resolve()
        return TrainedModel.read(folder, device, folder.name, _results(Project(folder.parents[1]), folder))
    found, settings = open_project(project)
    settings.experiment(str(experiment))
    folder = found.model(str(experiment))
    return TrainedModel.read(folder, device, folder.name, _results(found, folder))


def _results(project: Project, model: Path) -> dict[str, float]:
    """Return the numbers of the evaluation of a model in a project; none if it was of other weights."""
    path = project.results(model.name)
    if project.model(model.name) != model or not path.exists():
        return {}
    found = read_json(path)
    if found["weights_sha256"] != read_json(model / MANIFEST)["weights_sha256"]:
        return {}
    return measured(flatten(found))


def _from_registry(uri: str, project: str | Path | None, device: str) -> TrainedModel:
    tracking_uri = os.environ.get(URI_VARIABLE) or _local_store(project)
    with TemporaryDirectory() as temporary:
        folder, numbers = download_version(uri, tracking_uri, Path(temporary))
        return TrainedModel.read(folder, device, uri, numbers)


def _local_store(project: str | Path | None) -> str:
    store = Store(Project.find(Path(project or ".").resolve()))
    if not store.database.exists():  # MLflow would create it
        raise TriptychError(f"{store.database} does not exist: run `triptych sync`, or set {URI_VARIABLE}")
    return store.uri

"""Trained models in MLflow: one logged model per set of weights, and its version in the model registry."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.messages import one_line, without_password
from triptych.records.mlflow.descriptions import model_note, result_of
from triptych.records.mlflow.pyfunc_model import MODEL_DATA, write_mlflow_model
from triptych.records.mlflow.saved_view import model_version_tags
from triptych.records.mlflow.store import URI_VARIABLE, Store, expected_errors, import_client
from triptych.records.run_folder import RunFolder, numbers_of_evaluation

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion


WEIGHTS_HASH = "weights_sha256"  # the tag by which a model and its version are found, and the key in the manifest
VERSION_URI = re.compile(r"models:/(?P<name>[^/@']+)(?:/(?P<number>[0-9]+|latest)|@(?P<alias>[^/@]+))")


def link_model(store: Store, run_id: str, run: RunFolder, folder: Path | None) -> None:
    """Link an MLflow run with its model, and register the model as a version of the name of the experiment.

    If MLflow has a model with these weights already, it is linked and not copied again. Otherwise it is copied from
    `folder`; without a folder, nothing is linked.
    """
    from mlflow.entities import LoggedModelOutput

    model = _find_model(store, run) or (_log_model(store, run_id, run, folder) if folder else None)
    if model:
        store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, run.last_step[1])])
        _register(store, run_id, run, model)


def model_of(store: Store, run_id: str) -> str | None:
    """Return the id of the model that is linked with an MLflow run."""
    outputs = store.client.get_run(run_id).outputs
    return next((output.model_id for output in outputs.model_outputs), None) if outputs else None


def describe_version(store: Store, run: RunFolder) -> None:
    """Write the headline results into the description of the version with these weights."""
    for version in _find_versions(store, run.name, run.inputs[WEIGHTS_HASH]):
        store.client.update_model_version(run.name, version.version, result_of(run) or "not evaluated")


def delete_unused_model(store: Store, name: str, model_id: str, used_weights: set[str]) -> None:
    """Delete a model and its version, unless the hash of its weights is in `used_weights`."""
    with ignore_error("RESOURCE_DOES_NOT_EXIST"):
        model = store.client.get_logged_model(model_id)
        weights = model.tags.get(WEIGHTS_HASH, "")
        if weights in used_weights:
            return
        for version in _find_versions(store, name, weights):
            store.client.delete_model_version(name, version.version)
        store.client.delete_logged_model(model_id)
        store.delete_files(model.artifact_location)


@contextmanager
def ignore_error(code: str) -> Iterator[None]:
    """Ignore MLflow's error of this code: another process, or the user in the interface, did the same before."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise


def download_version(uri: str, tracking_uri: str, folder: Path) -> tuple[Path, dict[str, float]]:
    """Download a version of a model into `folder`; return its model folder, and the measured numbers of its run.

    Raises TriptychError if the URI is none of `models:/NAME/VERSION`, `models:/NAME/latest` and `models:/NAME@ALIAS`,
    or if MLflow does not answer or has no such version.
    """
    client_class, expected = import_client(), expected_errors()
    from mlflow.artifacts import download_artifacts

    try:
        client = client_class(tracking_uri)
        version = _version_of(client, uri)
        path = download_artifacts(artifact_uri=version.source, dst_path=str(folder), tracking_uri=tracking_uri)
        metrics = client.get_run(version.run_id).data.metrics
    except expected as error:
        problem = f"MLflow at {without_password(tracking_uri)} does not give {uri} ({one_line(error).rstrip('.')})"
        raise TriptychError(f"{problem}: check {URI_VARIABLE} and the name of the model") from None
    return Path(path) / MODEL_DATA, numbers_of_evaluation(metrics)


def _version_of(client: MlflowClient, uri: str) -> ModelVersion:
    """Return the version that a URI names. MLflow's own function takes the registry from a global variable."""
    found = VERSION_URI.fullmatch(uri)
    if not found:
        raise TriptychError(
            f"{uri} names no model: write models:/NAME/VERSION, models:/NAME/latest or models:/NAME@ALIAS"
        )
    name, number, alias = found["name"], found["number"], found["alias"]
    if alias:
        return client.get_model_version_by_alias(name, alias)
    if number == "latest":
        number = max((int(each.version) for each in client.search_model_versions(f"name = '{name}'")), default=1)
    return client.get_model_version(name, str(number))


def _find_model(store: Store, run: RunFolder) -> LoggedModel | None:
    experiment = store.prepare_experiment(run.inputs["family"])
    models = store.client.search_logged_models([experiment], _query(store, run.name, run.inputs[WEIGHTS_HASH]))
    return next((model for model in models if model.status == "READY"), None)


def _find_versions(store: Store, name: str, weights: str) -> list[ModelVersion]:
    return store.client.search_model_versions(_query(store, name, weights))


def _query(store: Store, name: str, weights: str) -> str:
    return f"name = '{name}' and tags.{WEIGHTS_HASH} = '{weights}'{store.project_filter}"


def _log_model(store: Store, run_id: str, run: RunFolder, folder: Path) -> LoggedModel:
    client, experiment = store.client, store.prepare_experiment(run.inputs["family"])
    model = client.create_logged_model(experiment, run.name, run_id, _tags(store, run))
    with tempfile.TemporaryDirectory() as temporary:
        output = Path(temporary) / "model"
        write_mlflow_model(folder, output, run_id, model.model_id)
        client.log_model_artifacts(model.model_id, str(output))
    return client.finalize_logged_model(model.model_id, "READY")


def _register(store: Store, run_id: str, run: RunFolder, model: LoggedModel) -> None:
    client, name, source = store.client, run.name, model.artifact_location
    if any(version.source == source for version in _find_versions(store, name, run.inputs[WEIGHTS_HASH])):
        return
    with ignore_error("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name, {"family": run.inputs["family"]}, model_note(run))
    version = client.create_model_version(
        name, source, run_id, _tags(store, run), await_creation_for=0, model_id=model.model_id
    )
    if tags := model_version_tags(name, int(version.version)):
        client.set_logged_model_tags(model.model_id, tags)


def _tags(store: Store, run: RunFolder) -> dict[str, str]:
    """Return the tags of a model and of its version; on a shared server also the project."""
    project = {} if store.is_local else {"project": store.project_name}
    return {"profile": run.inputs["profile"], WEIGHTS_HASH: run.inputs[WEIGHTS_HASH], **project}

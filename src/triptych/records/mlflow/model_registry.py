"""Trained models in MLflow: one for all runs that gave the same weights, and a version of it in the registry."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.records.mlflow.descriptions import model_note, results_of

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

    from triptych.records.mlflow.store import Store
    from triptych.records.run_folder import Record

WEIGHTS_HASH = "weights_sha256"
VERSIONS = "mlflow.modelVersions"  # by this tag MLflow's interface leads from a model to its version


def link_model(store: Store, run_id: str, record: Record, folder: Path | None) -> None:
    """Show the model that the run gave: `models:/<experiment>/<version>`, whose `predict` draws samples.

    Weights that MLflow has already are linked, and not copied again. Without a folder, or those, there is nothing.
    """
    from mlflow.entities import LoggedModelOutput

    found = _find(store, record) or (_log(store, run_id, record, folder) if folder else None)
    if found:
        store.client.log_outputs(run_id, [LoggedModelOutput(found.model_id, int(record.history[-1]["epoch"]))])
        _register(store, run_id, record, found)


def model_of(store: Store, run_id: str) -> str | None:
    """The id of the model that the run is linked with."""
    outputs = store.client.get_run(run_id).outputs
    return next((output.model_id for output in outputs.model_outputs), None) if outputs else None


def remove_replaced(store: Store, name: str, model_id: str, kept: set[str]) -> None:
    """Delete a model and its version, unless its weights are among those `kept`, or somebody has deleted it already."""
    with _already("RESOURCE_DOES_NOT_EXIST"):
        model = store.client.get_logged_model(model_id)
        weights = model.tags.get(WEIGHTS_HASH, "")
        if weights in kept:
            return
        for version in _versions(store, name, weights):
            store.client.delete_model_version(name, version.version)
        store.client.delete_logged_model(model_id)
        store.remove_files(model.artifact_location)


def describe_version(store: Store, record: Record) -> None:
    """Say on the version with the record's weights how good it came out."""
    for version in _versions(store, record.name, record.inputs[WEIGHTS_HASH]):
        store.client.update_model_version(record.name, version.version, results_of(record) or "not evaluated")


def _versions(store: Store, name: str, weights: str) -> list[ModelVersion]:
    query = f"name = '{name}' and tags.{WEIGHTS_HASH} = '{weights}'{store.ours}"
    return list(store.client.search_model_versions(query))


def _tags(store: Store, record: Record) -> dict[str, str]:
    """By these a model and its version are found again; whose they are, others who share the server should know."""
    owner = {} if store.local else {"project": store.project_name}
    return {"profile": record.inputs["profile"], WEIGHTS_HASH: record.inputs[WEIGHTS_HASH], **owner}


def _find(store: Store, record: Record) -> LoggedModel | None:
    experiment = store.experiment_id(record.inputs["family"])
    query = f"name = '{record.name}' and tags.{WEIGHTS_HASH} = '{record.inputs[WEIGHTS_HASH]}'{store.ours}"
    return next(
        (model for model in store.client.search_logged_models([experiment], query) if model.status == "READY"), None
    )


def _log(store: Store, run_id: str, record: Record, folder: Path) -> LoggedModel:
    from triptych.records.mlflow.pyfunc_model import write_mlflow_model

    experiment = store.experiment_id(record.inputs["family"])
    model = store.client.create_logged_model(experiment, record.name, run_id, _tags(store, record))
    with tempfile.TemporaryDirectory() as place:
        write_mlflow_model(folder, Path(place) / "model", run_id, model.model_id)
        store.client.log_model_artifacts(model.model_id, str(Path(place) / "model"))
    return store.client.finalize_logged_model(model.model_id, "READY")


def _register(store: Store, run_id: str, record: Record, model: LoggedModel) -> None:
    client, name = store.client, record.name
    if any(
        version.source == model.artifact_location for version in _versions(store, name, record.inputs[WEIGHTS_HASH])
    ):
        return
    with _already("RESOURCE_ALREADY_EXISTS"):
        client.create_registered_model(name, {"family": record.inputs["family"]}, model_note(record))
    tags, source = _tags(store, record), model.artifact_location
    version = client.create_model_version(name, source, run_id, tags, await_creation_for=0, model_id=model.model_id)
    client.set_logged_model_tags(
        model.model_id, {VERSIONS: json.dumps([{"name": name, "version": int(version.version)}])}
    )


@contextmanager
def _already(code: str) -> Iterator[None]:
    """That somebody was there before is no failure: another process, or the user in MLflow's interface."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code != code:
            raise

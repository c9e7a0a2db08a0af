"""`triptych sync`: MLflow rebuilt from what is on disk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.json_files import read_json
from triptych.records.journal import look_up
from triptych.records.mlflow.store import Store, brief, expected_errors, import_client, warn
from triptych.records.mlflow.view import bring_up_to_date
from triptych.records.run_folder import Record, all_records, keep_all, stage_of
from triptych.records.sample_sheets import keep_samples

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.settings.params import Settings


def sync(project: Project, settings: Settings) -> tuple[int, int]:
    """Make MLflow show every record on disk; return how many runs there are and how many had to be rebuilt.

    Raises TriptychError if the database or the server cannot be reached.
    """
    import_client()
    keep_all(project, settings)
    store, rebuilt, records = Store(project), 0, list(all_records(project))
    try:
        for record in records:
            try:
                facts = look_up(project, stage_of(record.inputs["family"]), record.name, record.folder / MANIFEST)
                model = _model_of(project, record)
                rebuilt += bring_up_to_date(store, record, facts, model)
            except TriptychError as error:
                warn(f"the record {record.folder} is left out: {error}")
        store.mark_dead_runs()
    except expected_errors() as error:
        advice = f"sync again later, or first delete {store.database}" if store.local else "sync again later"
        raise TriptychError(
            f"MLflow at {store.uri} does not answer ({brief(error)}): nothing is lost, {advice}"
        ) from None
    return len(records), rebuilt


def _model_of(project: Project, record: Record) -> Path | None:
    """The trained model, if the one on disk is this run's and whole; its samples are then in the record."""
    folder = project.model(record.name)
    manifest = folder / MANIFEST
    if stage_of(record.inputs["family"]) != "train" or not manifest.exists():
        return None
    if read_json(manifest)["weights_sha256"] != record.inputs["weights_sha256"]:
        return None
    try:
        keep_samples(record, folder)
    except TriptychError as error:
        warn(f"MLflow shows {record.name} without its model: {error}")
        return None
    return folder

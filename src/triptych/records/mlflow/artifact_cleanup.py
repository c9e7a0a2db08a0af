"""Delete the files of runs and models that the project's database does not know, for example after it was deleted."""

from __future__ import annotations

import re
import shutil
from contextlib import suppress
from pathlib import Path

from triptych.records.mlflow.model_registry import ignore_error
from triptych.records.mlflow.store import Store

RUN, MODEL = re.compile(r"[0-9a-f]{32}"), re.compile(r"m-[0-9a-f]{32}")  # the ids, which are the names of the folders


def delete_unknown_files(store: Store) -> None:
    """Delete the folders of unknown runs and models in the project's own store. On a server, do nothing.

    Folders that are newer than the database stay: a training that began before the database was deleted may still
    write into them.
    """
    if not store.is_local:
        return
    from mlflow.entities import ViewType

    experiments = store.client.search_experiments(ViewType.ALL)
    created = min(experiment.creation_time for experiment in experiments) / 1000  # seconds since 1970
    for experiment in experiments:
        place = store.artifacts / experiment.name
        if experiment.artifact_location != place.as_uri():
            continue
        for folder in _run_and_model_folders(place):  # listed first: the database then knows each new one
            with suppress(FileNotFoundError):  # another process deletes the files of the runs that it replaces
                if folder.stat().st_mtime < created and not _is_known(store, folder.name):
                    shutil.rmtree(folder, ignore_errors=True)


def _run_and_model_folders(place: Path) -> list[Path]:
    """Return the folders of all runs and models in the folder of an experiment."""
    runs = [path for path in place.glob("*") if RUN.fullmatch(path.name)]
    return runs + [path for path in place.glob("models/*") if MODEL.fullmatch(path.name)]


def _is_known(store: Store, name: str) -> bool:
    """Return whether the database has this run, or this model, or a registered version of this model.

    Runs that the user deleted are known, because MLflow can restore them.
    """
    with ignore_error("RESOURCE_DOES_NOT_EXIST"):
        (store.client.get_run if RUN.fullmatch(name) else store.client.get_logged_model)(name)
        return True
    return bool(store.client.search_model_versions(f"source_path LIKE '%/{name}/%'"))

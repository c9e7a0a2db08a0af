"""The project's MLflow tracking store: connect to it, and create, find and delete runs in it.

There is one MLflow experiment for each family of models and for each kind of study. `live_run.py` and `run_writer.py`
decide what is written into a run.
"""

from __future__ import annotations

import logging
import os
import platform
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from triptych.core.errors import TriptychError
from triptych.core.json_files import flatten
from triptych.core.messages import one_line, without_password
from triptych.core.process_ids import is_alive
from triptych.records.mlflow.descriptions import NOTE, experiment_note, refreshed_note
from triptych.records.mlflow.saved_view import interface_tags, refreshed_tag
from triptych.records.mlflow.tags import entry_of, identity_tags
from triptych.records.run_folder import Json
from triptych.repository.project import Project
from triptych.training.history import History, step_name

if TYPE_CHECKING:
    from filelock import FileLock
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Run

Clock = Callable[[int], int]
"""The time of a step, in milliseconds since 1970."""

URI_VARIABLE = "MLFLOW_TRACKING_URI"
ESCAPE = re.compile("%(?=[0-9a-fA-F]{2})")
DAMAGED = ("malformed", "not a database", "Can't locate revision")  # SQLite's and Alembic's words
ENVIRONMENT = {  # with these timeouts, a server that does not answer delays a run by seconds, not by minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def import_client() -> type[MlflowClient]:
    """Import MLflow without telemetry, and without log messages and stack traces beside Triptych's own warnings."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient


def expected_errors() -> tuple[type[Exception], ...]:
    """Return the errors of a database or a server that is missing, locked, full or slow, or needs another package."""
    import_client()
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, RequestException, SQLAlchemyError, OSError, ModuleNotFoundError


@dataclass
class Store:
    """The server that `MLFLOW_TRACKING_URI` names, or else the database `mlflow.db` in the project.

    `seed_groups` holds the names of the experiments and studies that differ only in their seeds, by the first one.
    """

    project: Project
    seed_groups: Mapping[str, Sequence[str]] = field(default_factory=dict)

    @property
    def is_local(self) -> bool:
        return not os.environ.get(URI_VARIABLE)

    @property
    def uri(self) -> str:
        # Escaped are only the characters that would be read as a part of the address: MLflow also creates the folder
        # of the escaped path.
        return os.environ.get(URI_VARIABLE) or f"sqlite:///{ESCAPE.sub('%25', str(self.database)).replace('?', '%3F')}"

    @property
    def address(self) -> str:
        """The URI for messages, without user and password."""
        return without_password(self.uri)

    @property
    def database(self) -> Path:
        """The database with all records, if there is no server."""
        return self.project.home / "mlflow.db"

    @property
    def is_missing(self) -> bool:
        """Whether the database does not exist yet. MLflow creates it at the first connection."""
        return self.is_local and not self.database.exists()

    @property
    def artifacts(self) -> Path:
        """The folder for the files of runs and models, if there is no server."""
        return self.project.home / "mlartifacts"

    @cached_property
    def client(self) -> MlflowClient:
        """A client. It connects under a lock, because two processes must not create the database at the same time.

        Raises OSError at once if the database cannot be opened; MLflow would try again for two minutes.
        """
        client_class = import_client()
        if self.is_local and self.database.exists():
            self.database.open("rb").close()
        with self._lock:
            client = client_class(self.uri)
            if self.is_local:
                client.search_experiments(max_results=1)
            return client

    @contextmanager
    def reported(self) -> Iterator[None]:
        """End the block with a TriptychError at one of the `expected_errors`. A PermissionError names its own file."""
        expected = expected_errors()  # imports MLflow, which Ctrl-C must not interrupt within an `except` clause
        try:
            yield
        except PermissionError:
            raise
        except expected as error:
            raise TriptychError(self.problem(error)) from None

    def problem(self, error: Exception) -> str:
        """Return a sentence about one of the `expected_errors`, with advice."""
        if isinstance(error, ModuleNotFoundError):
            return f"MLflow needs a package that is missing ({one_line(error)}): install it"
        if not self.is_local:
            return f"MLflow at {self.address} does not answer ({one_line(error)}): try again later"
        if self.is_damaged(error):
            words = "delete it and run `triptych sync`, which rebuilds its runs"
            return f"MLflow cannot read {self.database} ({one_line(error)}): {words}"
        return f"MLflow cannot use {self.database} ({one_line(error)}): try again when no stage runs"

    def is_damaged(self, error: Exception) -> bool:
        """Return whether the error says that the database is damaged, or of a newer version of MLflow."""
        return self.is_local and any(words in str(error) for words in DAMAGED)

    @property
    def _lock(self) -> FileLock:
        """A lock that keeps other processes of the project from creating a database or an experiment."""
        from filelock import FileLock

        self.project.private.mkdir(parents=True, exist_ok=True)
        return FileLock(self.project.private / "mlflow.lock")

    def prepare_experiment(self, family: str) -> str:
        """Return the id of the MLflow experiment for this family or kind of study, with its tags up to date.

        It is created if it is missing, and restored if it was deleted.
        """
        client = self.client
        with self._lock:
            found = client.get_experiment_by_name(family)
            if not found:
                place = (self.artifacts / family).as_uri() if self.is_local else None
                found = client.get_experiment(client.create_experiment(family, artifact_location=place))
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            note = experiment_note(family, found.experiment_id)
            tags = {NOTE: refreshed_note(found.tags.get(NOTE), note)}
            tags |= {key: refreshed_tag(key, found.tags.get(key), tag) for key, tag in interface_tags(family).items()}
            for key, value in tags.items():
                if found.tags.get(key) != value:
                    client.set_experiment_tag(found.experiment_id, key, value)
            return found.experiment_id

    @property
    def project_name(self) -> str:
        """The name of the project on a shared server: machine and folder."""
        return f"{platform.node()}:{self.project.home}".replace("'", "_")

    @property
    def project_filter(self) -> str:
        """The end of a search query: on a shared server, it selects this project only."""
        return "" if self.is_local else f" and tags.project = '{self.project_name}'"

    def find_runs(self, name: str, fingerprint: str, family: str) -> list[Run]:
        """Return all ended runs of this project with this name and fingerprint."""
        experiment = self.client.get_experiment_by_name(family)
        if not experiment or experiment.lifecycle_stage == "deleted":
            return []
        query = f"tags.triptych_experiment = '{name}' and tags.fingerprint = '{fingerprint}'{self.project_filter}"
        ended = f"{query} and attributes.status != 'RUNNING'"
        return list(self.client.search_runs([experiment.experiment_id], ended))

    def create_run(self, name: str, inputs: Json, tags: dict[str, str], start: int | None = None) -> str:
        """Create a run with its parameters, tags and data set; return its id.

        `start` is in milliseconds since 1970; None means now.
        """
        from mlflow.entities import Param, RunTag

        family = inputs["family"]
        run_id = self.client.create_run(self.prepare_experiment(family), start_time=start, run_name=name).info.run_id
        tags = identity_tags(name, inputs, self.seed_groups) | {"project": self.project_name} | tags
        self.client.log_batch(
            run_id,
            params=[Param(key, str(value)) for key, value in _parameters(inputs).items()],
            tags=[RunTag(key, str(value)) for key, value in tags.items()],
        )
        if inputs.get("data"):
            self.client.log_inputs(run_id, datasets=[_dataset_input(inputs["data"])])
        return run_id

    def update_entry(self, run: Run) -> None:
        """Set the tag `entry`, which changes if another experiment of the seed group is renamed or removed."""
        entry = entry_of(run.data.tags["triptych_experiment"], self.seed_groups)
        if run.data.tags.get("entry") != entry:
            self.client.set_tag(run.info.run_id, "entry", entry)

    def log_rows(self, run_id: str, rows: History, clock: Clock | None = None, model_id: str | None = None) -> None:
        """Log every number of every row; MLflow's client sends them in batches."""
        self.client.log_batch(run_id, metrics=to_metrics(rows, clock, model_id))

    def curves(self, run_id: str, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """Return step and value of every point that MLflow shows of these metrics, in order."""
        history = self.client.get_metric_history
        return {name: sorted((point.step, point.value) for point in history(run_id, name)) for name in names}

    def delete_run(self, run: Run) -> None:
        """Delete a run, its child runs and its files; MLflow alone would keep the files."""
        query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        for child in self.client.search_runs([run.info.experiment_id], query):
            self.client.delete_run(child.info.run_id)
        self.client.delete_run(run.info.run_id)
        self.delete_files(run.info.artifact_uri)

    def delete_files(self, artifact_uri: str) -> None:
        """Delete the folder with the files of a run or a model, if it belongs to this project."""
        folder = Path(unquote(urlparse(artifact_uri).path)).parent
        if self.is_local and folder.is_relative_to(self.artifacts):
            shutil.rmtree(folder, ignore_errors=True)

    def mark_dead_runs(self) -> None:
        """Set the status KILLED for runs of this project that are RUNNING although their process has ended."""
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        for run in self.client.search_runs(ids, f"attributes.status = 'RUNNING'{self.project_filter}") if ids else ():
            host, pid = run.data.tags.get("host"), run.data.tags.get("pid")
            if host == platform.node() and pid and not is_alive(int(pid), run.info.start_time / 1000):
                self.client.set_terminated(run.info.run_id, "KILLED")


def to_metrics(rows: History, clock: Clock | None = None, model_id: str | None = None) -> list[Metric]:
    """Return the numbers of all rows as MLflow's metrics, at the time that `clock` gives for their step, or now."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    metrics = []
    for row in rows:
        name = step_name(row)
        step = int(row[name])
        when = clock(step) if clock else now
        metrics += [Metric(key, float(row[key]), when, step, model_id) for key in row if key != name]
    return metrics


def _parameters(inputs: Json) -> Json:
    """Return the profile, the settings by their names in `params.yaml`, and the other inputs, all flattened."""
    others = {key: inputs[key] for key in ("profile", "runtime", "data") if key in inputs}
    return flatten(inputs["settings"]) | flatten(others)


def _dataset_input(data: Json) -> DatasetInput:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=data["dataset"],
        digest=data["sha256"][:32],
        source_type="local",
        source=data["source"],
        profile=str(data["splits"]),
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training")])

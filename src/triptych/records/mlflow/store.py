"""The MLflow store: its experiments, and runs in them.

Results come first. Whatever goes wrong here costs one warning, never a run.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from triptych.core.errors import TriptychError
from triptych.core.process_ids import is_alive
from triptych.records.mlflow.descriptions import NOTE, experiment_note
from triptych.records.mlflow.saved_view import SAVED_VIEW, saved_view
from triptych.records.run_folder import Json, stage_of
from triptych.settings.params import load
from triptych.training.checkpoint import step_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from triptych.core.project import Project
    from triptych.training.checkpoint import History

URI_VARIABLE = "MLFLOW_TRACKING_URI"
LIMITS = {"metrics": 1000, "params": 100, "tags": 100}  # of one MLflow batch
QUIET = {  # a server that does not answer may hold a run up for seconds, not minutes
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "5",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}


def import_client() -> type[MlflowClient]:
    """MLflow's client, quietened: no telemetry, no migration log, no stack trace beside our own warning."""
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient

    for name in ("alembic", "mlflow.store.db.utils", "mlflow.tracking.fluent"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return MlflowClient


def expected_errors() -> tuple[type[Exception], ...]:
    """What a database or a server that is missing, locked, full or slow raises."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return MlflowException, RequestException, SQLAlchemyError, OSError


@dataclass
class Store:
    """The project's MLflow tracking store: a server of the user's if one is named, else a database in the project."""

    project: Project

    @property
    def uri(self) -> str:
        return os.environ.get(URI_VARIABLE) or f"sqlite:///{self.database}"

    @property
    def database(self) -> Path:
        """Where the project's own records are."""
        return self.project.home / "mlflow.db"

    @property
    def local(self) -> bool:
        return not os.environ.get(URI_VARIABLE)

    @cached_property
    def client(self) -> MlflowClient:
        """A client. The first connection happens under a lock: two processes creating the database would break it."""
        client_class = import_client()
        with self._alone():
            client = client_class(self.uri)
            if self.local:
                client.search_experiments(max_results=1)
            return client

    @cached_property
    def first_seeds(self) -> dict[str, str]:
        """Experiments and studies by name: the first one with the same settings, whatever its seed."""
        with suppress(TriptychError):  # outside of a project that can be read, each run stands for itself
            groups = load(self.project.params).seed_groups()
            return {name: first for first, names in groups.items() for name in names}
        return {}

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep the project's other processes out."""
        from filelock import FileLock

        self.project.private.mkdir(parents=True, exist_ok=True)
        with FileLock(self.project.private / "mlflow.lock"):
            yield

    def experiment_id(self, family: str) -> str:
        """The MLflow experiment of a family, created at first use."""
        client = self.client
        with self._alone():
            found = client.get_experiment_by_name(family)
            if not found:
                place = (self.project.home / "mlartifacts" / family).as_uri() if self.local else None
                found = client.get_experiment(client.create_experiment(family, artifact_location=place))
            if found.lifecycle_stage == "deleted":
                client.restore_experiment(found.experiment_id)
            for key, value in experiment_tags(family, found.experiment_id).items():
                if key not in found.tags:  # else the user may have changed it
                    client.set_experiment_tag(found.experiment_id, key, value)
            return found.experiment_id

    def runs(self, record_name: str, fingerprint: str, family: str) -> list[Run]:
        """Every run of this name and fingerprint that MLflow shows; on a shared server, of this project alone."""
        query = f"tags.triptych_experiment = '{record_name}' and tags.fingerprint = '{fingerprint}'{self.ours}"
        return list(self.client.search_runs([self.experiment_id(family)], query))

    @property
    def ours(self) -> str:
        """The end of a query by tags: on a shared server, this project's alone."""
        return "" if self.local else f" and tags.project = '{self.project_name}'"

    @property
    def project_name(self) -> str:
        return f"{platform.node()}:{self.project.home}".replace("'", "_")

    def create_run(
        self, name: str, inputs: Json, params: Json, tags: dict[str, str], started: int | None = None
    ) -> str:
        """A run with its parameters, tags and, where there is one, data set."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param, RunTag

        family, fingerprint = inputs["family"], inputs["fingerprint"]
        run = self.client.create_run(self.experiment_id(family), start_time=started, run_name=name)
        run_id = run.info.run_id
        labels = {
            "triptych_experiment": name,
            "entry": self.first_seeds.get(name, name),
            "fingerprint": fingerprint,
            "profile": inputs["profile"],
            "family": family,
            "project": self.project_name,
            "mlflow.source.name": f"triptych {stage_of(family)} {name}",
            **tags,
        }
        self.client.log_batch(run_id, tags=[RunTag(key, str(value)) for key, value in labels.items()])
        pairs = [Param(key, str(value)) for key, value in {"profile": inputs["profile"], **params}.items()]
        for batch in chunks(pairs, LIMITS["params"]):
            self.client.log_batch(run_id, params=batch)
        data = inputs.get("data")
        if data:
            dataset = Dataset(
                name=data["dataset"], digest=data["sha256"][:32], source_type="local", source=data["source"],
                profile=str(data["splits"]),
            )  # fmt: skip
            context = [InputTag("mlflow.data.context", "training")]
            self.client.log_inputs(run_id, datasets=[DatasetInput(dataset, context)])
        return run_id

    def log_history(
        self, run_id: str, history: History, clock: Clock | None = None, model_id: str | None = None
    ) -> None:
        """Every number of every row, in batches."""
        for batch in chunks(points(history, clock, model_id), LIMITS["metrics"]):
            self.client.log_batch(run_id, metrics=batch)

    def curves(self, run_id: str, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """What MLflow shows of these metrics: step and value of every point, in order."""
        return {
            name: sorted((point.step, point.value) for point in self.client.get_metric_history(run_id, name))
            for name in names
        }

    def remove_run(self, run: Run) -> None:
        """Delete a run with the runs below it and its files, which MLflow would keep for ever."""
        for child in self._children(run):
            self.client.delete_run(child.info.run_id)
        self.client.delete_run(run.info.run_id)
        self.remove_files(run.info.artifact_uri)

    def remove_files(self, artifact_uri: str) -> None:
        """Remove the folder of a run's or a model's files, if it is ours."""
        place = Path(unquote(urlparse(artifact_uri).path)).parent
        if self.local and place.is_relative_to(self.project.home / "mlartifacts"):
            shutil.rmtree(place, ignore_errors=True)

    def _children(self, run: Run) -> list[Run]:
        query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        return list(self.client.search_runs([run.info.experiment_id], query))

    def mark_dead_runs(self) -> int:
        """Runs that say RUNNING although their process on this machine is gone are marked KILLED."""
        marked = 0
        ids = [experiment.experiment_id for experiment in self.client.search_experiments()]
        for run in self.client.search_runs(ids, "attributes.status = 'RUNNING'") if ids else ():
            host, pid = run.data.tags.get("host"), run.data.tags.get("pid")
            if host == platform.node() and pid and not is_alive(int(pid)):
                self.client.set_terminated(run.info.run_id, "KILLED")
                marked += 1
        return marked


Clock = Callable[[int], int]
"""When a step was reached, in milliseconds since 1970."""


def points(history: History, clock: Clock | None = None, model_id: str | None = None) -> list[Metric]:
    """The numbers of every row as MLflow's points, of now if no clock says when; of a model, if one is named."""
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(key, float(value), clock(int(row[step])) if clock else now, int(row[step]), model_id)
        for row in history
        for step in [step_name(row)]
        for key, value in row.items()
        if key != step
    ]


def experiment_tags(family: str, experiment_id: str) -> dict[str, str]:
    """What a family's experiment says of itself, and how its list of runs is to be looked at."""
    return {
        "mlflow.experimentKind": "custom_model_development",  # the interface for training, not for agents
        NOTE: experiment_note(family, experiment_id),
        SAVED_VIEW: saved_view(family),
    }


def run_tags(facts: Json) -> dict[str, str]:
    """The journal's facts of an execution as tags of its run."""
    wanted = ("stage", "git_commit", "git_dirty", "dvc_exp", "machine", "started")
    tags = {key: str(facts[key]) for key in wanted if key in facts}
    if facts.get("git_commit", "none") != "none":
        tags["mlflow.source.git.commit"] = facts["git_commit"]
    return tags


def brief(error: Exception) -> str:
    """An error of MLflow's or of its drivers as part of a sentence."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def warn(text: str) -> None:
    """One line that the user can act on."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def chunks(items: list[Any], size: int) -> Iterable[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

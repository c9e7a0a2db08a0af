"""MLflow as a view of the records: live while a run trains, rebuilt from disk whenever it is not there.

Results come first. Whatever goes wrong here costs one warning, never a run.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

from triptych.files import is_alive
from triptych.tracking.records import Json, Record, stage_of
from triptych.training.checkpoint import step_name

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from triptych.project import Project
    from triptych.training.checkpoint import History

URI_VARIABLE = "MLFLOW_TRACKING_URI"
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the interface for training, not for agents
SHARED = ("profile", "family", "project", "stage", "git_commit", "mlflow.source.name", "mlflow.source.git.commit")
SPEEDS = ("train_seconds", "seconds_per_update", "images_per_second", "iterations_per_second")  # facts of the journal
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
            if found:
                if found.lifecycle_stage == "deleted":
                    client.restore_experiment(found.experiment_id)
                return found.experiment_id
            place = (self.project.home / "mlartifacts" / family).as_uri() if self.local else None
            return client.create_experiment(family, artifact_location=place, tags=EXPERIMENT_TAGS)

    def runs(self, record_name: str, fingerprint: str, family: str) -> list[Run]:
        """Every run of this name and fingerprint that MLflow shows; on a shared server, of this project alone."""
        query = f"tags.triptych_experiment = '{record_name}' and tags.fingerprint = '{fingerprint}'"
        if not self.local:
            query += f" and tags.project = '{self._project_name}'"
        return list(self.client.search_runs([self.experiment_id(family)], query))

    @property
    def _project_name(self) -> str:
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
            "fingerprint": fingerprint,
            "profile": inputs["profile"],
            "family": family,
            "project": self._project_name,
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

    def log_history(self, run_id: str, history: History) -> None:
        """Every number of every row, in batches."""
        for batch in chunks(_points(history), LIMITS["metrics"]):
            self.client.log_batch(run_id, metrics=batch)

    def curves(self, run_id: str, names: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
        """What MLflow shows of these metrics: step and value of every point, in order."""
        return {
            name: sorted((point.step, point.value) for point in self.client.get_metric_history(run_id, name))
            for name in names
        }

    def log_evaluation(self, run_id: str, record: Record) -> None:
        """The evaluation's numbers, at the last step, those of each snapshot, and its pictures."""
        self.log_history(run_id, record.points[len(record.history) :])
        if record.protocol:
            self.client.set_tag(run_id, "fidelity", record.protocol)
        for picture in record.figures:
            self.client.log_artifact(run_id, str(picture), "figures")

    def log_speed(self, run_id: str, record: Record, facts: Json) -> None:
        """How fast the training was, as the journal knows it, at the last step."""
        last = record.history[-1]
        step = step_name(last)
        found = {name: float(facts[name]) for name in SPEEDS if name in facts}
        if found:
            self.log_history(run_id, [{step: last[step], **found}])

    def seal(self, run_id: str, record: Record) -> None:
        """Say what the run shows, on both sides; other runs of the same inputs give way to it only now.

        Of a study every configuration becomes a run of its own, below the study's.
        """
        self._log_configurations(run_id, record)
        self.client.set_tag(run_id, "digest", record.digest)
        inputs = record.inputs
        for other in self.runs(record.name, inputs["fingerprint"], inputs["family"]):
            if other.info.run_id != run_id:
                for child in self._children(other):
                    self.client.delete_run(child.info.run_id)
                self.client.delete_run(other.info.run_id)
                self._delete_artifacts(other)
        record.link(self.uri, run_id)

    def _delete_artifacts(self, run: Run) -> None:
        """MLflow keeps the files of deleted runs for ever; the same pictures and weights are in the run that stays."""
        place = Path(unquote(urlparse(run.info.artifact_uri).path)).parent
        if self.local and place.is_relative_to(self.project.home / "mlartifacts"):
            shutil.rmtree(place, ignore_errors=True)

    def _log_configurations(self, run_id: str, record: Record) -> None:
        from mlflow.entities import Param, RunTag

        configurations = record.configurations
        if not configurations:
            return
        parent = self.client.get_run(run_id)
        shared = {key: parent.data.tags[key] for key in SHARED if key in parent.data.tags}
        for child in configurations:
            name = f"{record.name} {child.name}"
            run = self.client.create_run(parent.info.experiment_id, start_time=parent.info.start_time, run_name=name)
            last = child.history[-1]
            step = step_name(last)
            history = [*child.history, {step: last[step], **child.metrics}]
            tags = shared | {"mlflow.parentRunId": run_id, "configuration": child.name, **child.words}
            first, *rest = chunks(_points(history), LIMITS["metrics"])
            self.client.log_batch(
                run.info.run_id,
                metrics=first,
                params=[Param("study", record.name), Param("configuration", child.name)],
                tags=[RunTag(key, value) for key, value in tags.items()],
            )
            for batch in rest:
                self.client.log_batch(run.info.run_id, metrics=batch)
            self.client.set_terminated(run.info.run_id, "FINISHED", parent.info.end_time)

    def _children(self, run: Run) -> list[Run]:
        query = f"tags.`mlflow.parentRunId` = '{run.info.run_id}'"
        return list(self.client.search_runs([run.info.experiment_id], query))

    def bring_up_to_date(self, record: Record, facts: Json, model: Path | None = None) -> bool:
        """Make MLflow show exactly what the record and the journal's facts hold; tell whether it had to be rebuilt."""
        inputs, digest = record.inputs, record.digest  # a damaged record is found out before MLflow shows half of it
        runs = self.runs(record.name, inputs["fingerprint"], inputs["family"])
        if len(runs) == 1 and runs[0].data.tags.get("digest") == digest:
            record.link(self.uri, runs[0].info.run_id)
            return False
        began, ended = _times(facts)
        run_id = self.create_run(record.name, inputs, record.params, run_tags(facts), began)
        self.log_history(run_id, record.history)
        self.log_speed(run_id, record, facts)
        self.log_evaluation(run_id, record)
        if model:
            self.log_model(run_id, model)
        self.client.set_terminated(run_id, "FINISHED", ended)
        self.seal(run_id, record)
        return True

    def log_model(self, run_id: str, folder: Path) -> None:
        """The trained model as an MLflow model: `mlflow.pyfunc.load_model("runs:/<id>/model")` samples from it."""
        import tempfile

        from triptych.tracking.model import write_mlflow_model

        with tempfile.TemporaryDirectory() as place:
            write_mlflow_model(folder, Path(place) / "model", run_id)
            self.client.log_artifacts(run_id, str(Path(place) / "model"), "model")

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


def _points(history: History) -> list[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    return [
        Metric(key, float(value), now, int(row[step]))
        for row in history
        for step in [step_name(row)]
        for key, value in row.items()
        if key != step
    ]


def run_tags(facts: Json) -> dict[str, str]:
    """The journal's facts of an execution as tags of its run."""
    wanted = ("stage", "git_commit", "git_dirty", "machine", "started")
    tags = {key: str(facts[key]) for key in wanted if key in facts}
    if facts.get("git_commit", "none") != "none":
        tags["mlflow.source.git.commit"] = facts["git_commit"]
    return tags


def _times(facts: Json) -> tuple[int | None, int | None]:
    """When the execution began and ended, in milliseconds since 1970, as far as the journal knows."""
    if "started" not in facts or "seconds" not in facts:
        return None, None
    began = int(datetime.fromisoformat(facts["started"]).timestamp() * 1000)
    return began, began + int(facts["seconds"] * 1000)


def brief(error: Exception) -> str:
    """An error of MLflow's or of its drivers as part of a sentence."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def warn(text: str) -> None:
    """One line that the user can act on."""
    print(f"warning: {text}", file=sys.stderr, flush=True)


def chunks(items: list[Any], size: int) -> Iterable[list[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]

"""What MLflow shows of a record: live once the run is done, or rebuilt from disk whenever it is not there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

from triptych.records.mlflow.descriptions import NOTE, length_of, results_of, run_note
from triptych.records.mlflow.model_registry import describe_version, link_model, model_of, remove_replaced
from triptych.records.mlflow.saved_view import FINAL_SAMPLES, SAMPLES
from triptych.records.mlflow.store import LIMITS, chunks, points, run_tags
from triptych.records.sample_sheets import open_sheet
from triptych.training.history import step_name

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.records.mlflow.store import Clock, Store
    from triptych.records.run_folder import ConfigurationRecord, Json, Record

SHARED = (
    *("profile", "family", "project", "stage", "git_commit", "dvc_exp"),
    *("mlflow.source.name", "mlflow.source.git.commit"),
)
SPEEDS = ("train_seconds", "seconds_per_update", "images_per_second", "iterations_per_second")  # facts of the journal


@dataclass
class RunView:
    """A run in the store, the record that it shows, and what the journal knows of the training."""

    store: Store
    run_id: str
    record: Record
    facts: Json
    clock: Clock | None = None
    """When each step was reached, if it is not just now."""

    @cached_property
    def _last(self) -> dict[str, float]:
        """The last step."""
        row = self.record.history[-1]
        step = step_name(row)
        return {step: row[step]}

    def show_history(self) -> None:
        """Every number of the training."""
        self.store.log_history(self.run_id, self.record.history, self.clock)

    def show_training(self, model: Path | None) -> None:
        """Beside the history: updates, speeds, samples by epoch, and the model if there is one."""
        speeds = {name: float(self.facts[name]) for name in SPEEDS if name in self.facts}
        rows = [*self.record.updates, *([self._last | speeds] if speeds else [])]
        self.store.log_history(self.run_id, rows, self.clock)
        self._show_samples()
        link_model(self.store, self.run_id, self.record, model)

    def _show_samples(self) -> None:
        for epoch, path in self.record.samples.items():
            sheet, when = open_sheet(path), self.clock(epoch) if self.clock else None
            self.store.client.log_image(self.run_id, sheet, key=SAMPLES, step=epoch, timestamp=when)
            if epoch == self._last["epoch"]:
                self.store.client.log_image(self.run_id, sheet, key=FINAL_SAMPLES, step=0, timestamp=when)

    def show_evaluation(self) -> None:
        """The evaluation's numbers, at the last step, those of each snapshot, and its pictures."""
        measured, *snapshots = self.record.points[len(self.record.history) :]
        self.store.log_history(self.run_id, [measured], self.clock, model_of(self.store, self.run_id))
        self.store.log_history(self.run_id, snapshots, self.clock)
        if self.record.protocol:
            self.store.client.set_tag(self.run_id, "fidelity", self.record.protocol)
        for picture in self.record.figures:
            self.store.client.log_artifact(self.run_id, str(picture), "figures")

    def seal(self) -> None:
        """Say what the run shows, on both sides; other runs of the same inputs give way to it only now.

        Of a study every configuration becomes a run of its own, below the study's.
        """
        from mlflow.entities import RunTag

        record, store = self.record, self.store
        for child in record.configurations:
            self._show_configuration(child)
        tags = {
            "trained": length_of(record),
            "result": results_of(record) or "not evaluated",
            NOTE: run_note(record, self.facts),
            "digest": record.digest,
        }
        describe_version(store, record)
        store.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        inputs = record.inputs
        for other in store.runs(record.name, inputs["fingerprint"], inputs["family"]):
            if other.info.run_id != self.run_id:
                replaced = model_of(store, other.info.run_id)
                store.remove_run(other)
                if replaced:
                    remove_replaced(store, record.name, replaced, record.weights_of_its_name())
        record.link(store.uri, self.run_id)

    def _show_configuration(self, child: ConfigurationRecord) -> None:
        from mlflow.entities import Param, RunTag

        record, client = self.record, self.store.client
        parent = client.get_run(self.run_id)
        shared = {key: parent.data.tags[key] for key in SHARED if key in parent.data.tags}
        name = f"{record.name} {child.name}"
        run = client.create_run(parent.info.experiment_id, start_time=parent.info.start_time, run_name=name)
        history = [*child.history, self._last | child.metrics]
        tags = shared | {"mlflow.parentRunId": self.run_id, "configuration": child.name, **child.words}
        first, *rest = chunks(points(history, self.clock), LIMITS["metrics"])
        client.log_batch(
            run.info.run_id,
            metrics=first,
            params=[Param("study", record.name), Param("configuration", child.name)],
            tags=[RunTag(key, value) for key, value in tags.items()],
        )
        for batch in rest:
            client.log_batch(run.info.run_id, metrics=batch)
        client.set_terminated(run.info.run_id, "FINISHED", parent.info.end_time)


def bring_up_to_date(store: Store, record: Record, facts: Json, model: Path | None = None) -> bool:
    """Make MLflow show exactly what the record and the journal's facts hold; tell whether it had to be rebuilt."""
    inputs, digest = record.inputs, record.digest  # a damaged record is found out before MLflow shows half of it
    runs = store.runs(record.name, inputs["fingerprint"], inputs["family"])
    if len(runs) == 1 and runs[0].data.tags.get("digest") == digest:
        shown = runs[0].info.run_id
        if model and model_of(store, shown) is None:  # its weights were not here when the run was shown
            link_model(store, shown, record, model)
            describe_version(store, record)
        record.link(store.uri, shown)
        return False
    began, ended = _times(facts)
    run_id = store.create_run(record.name, inputs, record.params, run_tags(facts), began)
    view = RunView(store, run_id, record, facts, _clock(record, began, ended))
    view.show_history()
    view.show_training(model)
    if record.metrics:
        view.show_evaluation()
    store.client.set_terminated(run_id, "FINISHED", ended)
    view.seal()
    return True


def _times(facts: Json) -> tuple[int | None, int | None]:
    """When the execution began and ended, in milliseconds since 1970, as far as the journal knows."""
    if "started" not in facts or "seconds" not in facts:
        return None, None
    began = int(datetime.fromisoformat(facts["started"]).timestamp() * 1000)
    return began, began + int(facts["seconds"] * 1000)


def _clock(record: Record, began: int | None, ended: int | None) -> Clock | None:
    """A clock for a run that is over: its steps, one as long as another, fill the time that it took."""
    if began is None or ended is None:
        return None
    last = record.history[-1]
    steps = max(int(last[step_name(last)]), 1)
    return lambda step: began + (ended - began) * step // steps

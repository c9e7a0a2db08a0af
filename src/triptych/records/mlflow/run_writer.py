"""Write the content of a run folder into an MLflow run: at the end of a live run, or to rebuild the run from disk."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from triptych.records.mlflow.descriptions import NOTE, result_of, run_note, training_length_of
from triptych.records.mlflow.model_registry import delete_unused_model, describe_version, link_model, model_of
from triptych.records.mlflow.saved_view import FINAL_SAMPLES, SAMPLES
from triptych.records.mlflow.store import Clock, Store, to_metrics
from triptych.records.mlflow.tags import execution_tags
from triptych.records.run_folder import SPEEDS, Json, RunFolder, measured_numbers

SHARED_TAGS = (
    *("profile", "family", "project", "stage", "git_commit", "dvc_exp"),
    *("mlflow.source.name", "mlflow.source.git.commit"),
)  # of a study and the runs of its configurations


def bring_up_to_date(
    store: Store, run: RunFolder, facts: Json, model: Path | None = None, before: str | None = None
) -> bool:
    """Make MLflow show exactly what the run folder and the journal's facts hold; return whether it was rebuilt.

    `model` is the folder of the trained model, if it is on disk. `before` is the run folder's digest before its first
    evaluation: if MLflow shows that state, only the evaluation is added.
    """
    inputs, digest = run.inputs, run.digest  # a damaged run folder raises here, before MLflow shows half of it
    store.prepare_experiment(inputs["family"])
    shown = store.find_runs(run.name, inputs["fingerprint"], inputs["family"])
    found = shown[0].data.tags.get("digest") if len(shown) == 1 else None
    if len(shown) == 1:
        store.update_entry(shown[0])
    if found and found == before:
        writer = RunWriter(store, shown[0].info.run_id, run, facts)
        writer.write_evaluation()
        writer.write_summary()
        return False
    if found == digest:
        run_id = shown[0].info.run_id
        if model and model_of(store, run_id) is None:  # the weights were not on disk when the run was written
            link_model(store, run_id, run, model)
            describe_version(store, run)
        run.write_mlflow_link(run_id)
        return False
    start, end, clock = _times(run, facts)
    run_id = store.create_run(run.name, inputs, execution_tags(facts), start)
    writer = RunWriter(store, run_id, run, facts, clock)
    store.log_rows(run_id, run.history, clock)
    writer.write_results(model, end)
    return True


@dataclass
class RunWriter:
    """Write the content of a run folder, and the journal's facts of the training, into an MLflow run."""

    store: Store
    run_id: str
    run: RunFolder
    facts: Json
    clock: Clock | None = None
    """The time of each step; None means now."""

    def write_results(self, model: Path | None, end: int | None = None) -> None:
        """Write everything except the history, and end the run at `end` (milliseconds since 1970), or now."""
        self._write_training(model)
        if self.run.metrics:
            self.write_evaluation()
        self.store.client.set_terminated(self.run_id, "FINISHED", end)
        self.write_summary()

    def _write_training(self, model: Path | None) -> None:
        """Write updates, speeds, sheets of samples, and the model if there is one."""
        from triptych.figures.image_grids import read_sheet

        speeds = {name: float(self.facts[name]) for name in SPEEDS if name in self.facts}
        step, last = self.run.last_step
        self.store.log_rows(self.run_id, [*self.run.updates, {step: last, **speeds}], self.clock)
        for epoch, path in self.run.samples.items():
            sheet, when = read_sheet(path, "delete its folder"), self.clock(epoch) if self.clock else None
            self.store.client.log_image(self.run_id, sheet, key=SAMPLES, step=epoch, timestamp=when)
            if epoch == last:
                self.store.client.log_image(self.run_id, sheet, key=FINAL_SAMPLES, step=0, timestamp=when)
        link_model(self.store, self.run_id, self.run, model)

    def write_evaluation(self) -> None:
        """Write the metrics at the last step, the scores of the snapshots, and the pictures."""
        metrics = [self.run.metrics_at_last_step]
        self.store.log_rows(self.run_id, metrics, self.clock, model_of(self.store, self.run_id))
        self.store.log_rows(self.run_id, self.run.snapshot_scores, self.clock)
        if protocol := self.run.fidelity_protocol:
            self.store.client.set_tag(self.run_id, "fidelity", protocol)
        for picture in self.run.figures:
            self.store.client.log_artifact(self.run_id, str(picture), "figures")

    def write_summary(self) -> None:
        """Write the description, the digest and a study's configurations; then delete other runs of these inputs."""
        from mlflow.entities import RunTag

        for name, results in self.run.configurations.items():
            self._write_configuration(name, results)
        tags = {
            "trained": training_length_of(self.run),
            "result": result_of(self.run) or "not evaluated",
            NOTE: run_note(self.run, self.facts),
            "digest": self.run.digest,
        }
        describe_version(self.store, self.run)
        self.store.client.log_batch(self.run_id, tags=[RunTag(key, value) for key, value in tags.items()])
        self._delete_other_runs()
        self.run.write_mlflow_link(self.run_id)

    def _write_configuration(self, name: str, results: Json) -> None:
        """Write a configuration of a study as a child of the study's run."""
        from mlflow.entities import Param, RunTag

        client = self.store.client
        parent = client.get_run(self.run_id)
        child = client.create_run(
            parent.info.experiment_id, start_time=parent.info.start_time, run_name=f"{self.run.name} {name}"
        )
        shared = {key: parent.data.tags[key] for key in SHARED_TAGS if key in parent.data.tags}
        words = {key: value for key, value in results.items() if isinstance(value, str)}
        own = {"mlflow.parentRunId": self.run_id, "configuration": name, **words}
        step, last = self.run.last_step
        client.log_batch(
            child.info.run_id,
            metrics=to_metrics([*self.run.history_of(name), {step: last, **measured_numbers(results)}], self.clock),
            params=[Param("study", self.run.name), Param("configuration", name)],
            tags=[RunTag(key, value) for key, value in (shared | own).items()],
        )
        client.set_terminated(child.info.run_id, "FINISHED", parent.info.end_time)

    def _delete_other_runs(self) -> None:
        inputs = self.run.inputs
        for other in self.store.find_runs(self.run.name, inputs["fingerprint"], inputs["family"]):
            if other.info.run_id != self.run_id:
                model_id = model_of(self.store, other.info.run_id)
                self.store.delete_run(other)
                if model_id:
                    delete_unused_model(self.store, self.run.name, model_id, self.run.weights_of_same_name())


def _times(run: RunFolder, facts: Json) -> tuple[int | None, int | None, Clock | None]:
    """Return start and end of an execution in milliseconds since 1970, and a clock that spreads the steps evenly.

    All three are None if the times are not recorded.
    """
    if "started" not in facts or "seconds" not in facts:
        return None, None, None
    start = int(datetime.fromisoformat(facts["started"]).timestamp() * 1000)
    duration, steps = int(facts["seconds"] * 1000), max(run.last_step[1], 1)
    return start, start + duration, lambda step: start + duration * step // steps

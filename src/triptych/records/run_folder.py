"""Records: the results of every run, kept beside the journal, from which MLflow can be rebuilt at any time.

A record is a folder `.triptych/runs/<name>/<fingerprint>/`:

| file | what it holds |
| --- | --- |
| `manifest.json` | of the model: all that the run is a function of |
| `history.csv` | one row an epoch, or one for some iterations of a study |
| `metrics.json` | the evaluation, once there is one |
| `figures/` | its pictures |
| `snapshots.csv` | of a GAN with a critic: what each snapshot scored |
| `samples/<weights>/` | of an experiment: a sheet of samples after each snapshot, `<epoch>.png` |
| `mlflow.json` | where MLflow shows the run |
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import HISTORY, MANIFEST, METRICS
from triptych.core.files import atomic_folder, copy_file
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import flatten, read_json, write_json
from triptych.core.manifests import measured
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS
from triptych.studies.kinds import STUDIES
from triptych.training.history import History, read_history, step_name

if TYPE_CHECKING:
    from triptych.core.project import Project
    from triptych.settings.params import Settings

Json = dict[str, Any]

VIEW = 3
"""How MLflow shows a record. Count on when that changes: the next `triptych sync` rebuilds every run once."""


def params_of(inputs: Json) -> Json:
    """Flattened parameters: the settings by their names in `params.yaml`, then the rest of the inputs."""
    return flatten(inputs["settings"]) | flatten({key: inputs[key] for key in ("runtime", "data") if key in inputs})


def stage_of(family: str) -> str:
    """The stage that trains a model of this family, or a study of this kind."""
    return family if family == "classifier" else "study" if family in STUDIES else "train"


@dataclass(frozen=True)
class ConfigurationRecord:
    """What a study's record holds of one of its configurations."""

    name: str
    history: History
    metrics: Json
    """Numbers, flattened."""
    words: Json
    """Findings that are no numbers, such as a verdict."""


@dataclass(frozen=True)
class Record:
    """One run's folder."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.parent.name

    @property
    def inputs(self) -> Json:
        return read_json(self.folder / MANIFEST)

    @property
    def exists(self) -> bool:
        """Whether the record is complete."""
        return (self.folder / MANIFEST).exists() and (self.folder / HISTORY).exists()

    @property
    def fingerprint(self) -> str:
        return self.inputs["fingerprint"]

    @property
    def params(self) -> Json:
        return params_of(self.inputs)

    @property
    def history(self) -> History:
        return read_history(self.folder / HISTORY)

    @property
    def metrics(self) -> Json:
        """What the evaluation measured, flattened, `fid_classifier.value` by its plain name; empty before that."""
        return measured(flatten(self.evaluation))

    @property
    def configurations(self) -> list[ConfigurationRecord]:
        """Of a study, its configurations one by one; of an experiment none."""
        found, history = [], self.history
        for name in self.evaluation.get("configurations", ()):
            values = flatten(self.evaluation[name])
            words = {key: value for key, value in values.items() if isinstance(value, str)}
            rows = [_of_configuration(row, f"{name}.") for row in history]
            found.append(ConfigurationRecord(name, rows, measured(values), words))
        return found

    @property
    def protocol(self) -> str:
        """How fidelity was measured, in words; empty before it was."""
        try:
            found = self.evaluation[name_of("fid", self.evaluation)]
        except KeyError:
            return ""
        return (
            f"{found['samples']:,} samples against {found['reference']} ({found['reference_images']:,} images), "
            f"features of {found['extractor']}"
        )

    @property
    def evaluation(self) -> Json:
        """The metrics as they were written; empty before the evaluation."""
        path = self.folder / METRICS
        return read_json(path) if path.exists() else {}

    @property
    def snapshots(self) -> History:
        """What snapshots of the training scored, a row each, as `snapshot_<measure>`; empty where none were judged."""
        path = self.folder / SNAPSHOTS
        rows = read_history(path) if path.exists() else []
        return [
            {step: row[step]} | {f"snapshot_{key}": value for key, value in row.items() if key != step}
            for row in rows
            for step in [step_name(row)]
        ]

    @property
    def points(self) -> History:
        """Every row of MLflow's curves but speeds: the history, what was measured at its last step, the snapshots."""
        history = self.history
        step = step_name(history[-1])
        measured = {key: float(value) for key, value in self.metrics.items()}
        return [*history, {step: history[-1][step], **measured}, *self.snapshots]

    @property
    def updates(self) -> History:
        """How many updates each row of the history stands for, where the model counts epochs: runs of other batch sizes
        are compared by it."""
        each = self.inputs.get("epoch_updates")
        return [{"epoch": row["epoch"], "updates": int(row["epoch"]) * each} for row in self.history] if each else []

    @property
    def figures(self) -> list[Path]:
        return sorted((self.folder / "figures").glob("*.png"))

    @property
    def samples_folder(self) -> Path:
        """Where the sheets of these weights are, once they are drawn."""
        return self.folder / "samples" / self.inputs["weights_sha256"][:16]

    @property
    def samples(self) -> dict[int, Path]:
        """Sheets of samples by epoch, in order."""
        return {int(path.stem): path for path in sorted(self.samples_folder.glob("*.png"))}

    @property
    def digest(self) -> str:
        """A hash of all that MLflow shows of this run: equal digests need no work."""
        return self._digest(self.metrics, self.snapshots, _hashes(self.figures))

    @property
    def digest_unevaluated(self) -> str:
        """The same as long as there is no evaluation."""
        return self._digest({}, [], {})

    def _digest(self, *evaluated: Json | History) -> str:
        return sha256_of_json([VIEW, self.inputs, self.history, _hashes(self.samples.values()), *evaluated])

    def weights_of_its_name(self) -> set[str]:
        """Hashes of the weights that this record and those of other settings stand for."""
        found = set()
        for path in self.folder.parent.glob(f"*/{MANIFEST}"):
            with suppress(TriptychError):  # a damaged record is another run's trouble
                found.add(read_json(path)["weights_sha256"])
        return found

    def link(self, tracking_uri: str, run_id: str) -> None:
        """Remember where MLflow shows this run."""
        write_json(self.folder / "mlflow.json", {"tracking_uri": tracking_uri, "run_id": run_id})

    @property
    def run_id(self) -> str | None:
        path = self.folder / "mlflow.json"
        return read_json(path)["run_id"] if path.exists() else None


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in paths}


def _of_configuration(row: dict[str, float], prefix: str) -> dict[str, float]:
    step = step_name(row)
    return {step: row[step]} | {key.removeprefix(prefix): row[key] for key in row if key.startswith(prefix)}


def record_of(project: Project, name: str, fingerprint: str) -> Record:
    """The record of that run, whether or not it exists yet."""
    return Record(project.private / "runs" / name / fingerprint[:16])


def all_records(project: Project) -> Iterator[Record]:
    """Every complete record, in a stable order."""
    records = (Record(path.parent) for path in sorted((project.private / "runs").glob(f"*/*/{MANIFEST}")))
    return (record for record in records if record.exists)


def keep_model(project: Project, name: str, folder: Path) -> Record:
    """Take what a trained model's folder holds into its record."""
    record = record_of(project, name, read_json(folder / MANIFEST)["fingerprint"])
    record.folder.mkdir(parents=True, exist_ok=True)
    for part in (MANIFEST, HISTORY):
        copy_file(folder / part, record.folder / part)
    return record


def keep_evaluation(project: Project, name: str, fingerprint: str, metrics: Path, plots: Path | None) -> Record:
    """Take an evaluation's metrics and pictures into the record of its run."""
    record = record_of(project, name, fingerprint)
    copy_file(metrics, record.folder / METRICS)
    if plots and (plots / SNAPSHOTS).exists():
        copy_file(plots / SNAPSHOTS, record.folder / SNAPSHOTS)
    if plots and plots.is_dir():
        with atomic_folder(record.folder / "figures") as folder:
            for picture in sorted(plots.glob("[A-Z][0-9]*.png")):
                shutil.copyfile(picture, folder / picture.name)
    return record


def keep_all(project: Project, settings: Settings) -> None:
    """Take every result that stands on disk into a record: after `dvc checkout`, say, or on another machine."""
    for name in settings.measured:
        model, metrics, plots = project.model(name), project.metrics(name), project.plots(name)
        if not all((model / part).exists() for part in (MANIFEST, HISTORY)):
            continue
        record = keep_model(project, name, model)
        if metrics.exists() and read_json(metrics)["weights_sha256"] == record.inputs["weights_sha256"]:
            keep_evaluation(project, name, record.fingerprint, metrics, plots)

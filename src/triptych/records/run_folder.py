"""A run folder holds the results of one training run, so that MLflow can be rebuilt at any time.

It is `.triptych/runs/<name>/<first 16 digits of the fingerprint>/`:

| file | content |
| --- | --- |
| `manifest.json` | the inputs of the training run |
| `history.csv` | one row per epoch, or per some iterations of a study |
| `metrics.json` | the evaluation; missing before the evaluation |
| `figures/` | the pictures of the evaluation |
| `snapshots.csv` | the scores of each snapshot, for a GAN with a critic |
| `samples/<weights>/<epoch>.png` | one sheet of samples per snapshot, for an experiment |
| `mlflow.json` | the MLflow run that shows these results |

This module finds and reads run folders. `copy_results.py` copies results into them, and `sample_sheets.py` draws the
sheets of samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import HISTORY, MANIFEST, METRICS
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import flatten, read_json, write_json
from triptych.core.json_schemas import measured
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS
from triptych.studies.kinds import STUDIES
from triptych.training.history import History, read_history, step_name

if TYPE_CHECKING:
    from triptych.core.project import Project

Json = dict[str, Any]

MLFLOW_LINK = "mlflow.json"
LAYOUT_VERSION = 3
"""The version of the layout in which MLflow shows a run. After an increase, `triptych sync` rebuilds every run once."""


def run_folder_of(project: Project, name: str, fingerprint: str) -> RunFolder:
    """Return the run folder for this name and fingerprint, even if it does not exist yet."""
    return RunFolder(project.private / "runs" / name / fingerprint[:16])


def all_run_folders(project: Project) -> Iterator[RunFolder]:
    """Return every complete run folder, ordered by path."""
    manifests = sorted((project.private / "runs").glob(f"*/*/{MANIFEST}"))
    return (run for run in map(RunFolder, (path.parent for path in manifests)) if run.is_complete)


def stage_of(family: str) -> str:
    """Return the stage that trains this family of models or this kind of study."""
    return family if family == "classifier" else "study" if family in STUDIES else "train"


@dataclass(frozen=True)
class Configuration:
    """The results of one configuration of a study."""

    name: str
    history: History
    metrics: Json
    """Numbers, flattened."""
    words: Json
    """Results that are text, such as a verdict, flattened."""


@dataclass(frozen=True)
class RunFolder:
    """Read the results of one training run. Properties raise TriptychError if a file is missing or damaged."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def is_complete(self) -> bool:
        """Whether the training run has ended: its manifest and its history exist."""
        return (self.path / MANIFEST).exists() and (self.path / HISTORY).exists()

    @property
    def inputs(self) -> Json:
        return read_json(self.path / MANIFEST)

    @property
    def fingerprint(self) -> str:
        return self.inputs["fingerprint"]

    @property
    def history(self) -> History:
        return read_history(self.path / HISTORY)

    @property
    def evaluation(self) -> Json:
        """The content of `metrics.json`; empty before the evaluation."""
        path = self.path / METRICS
        return read_json(path) if path.exists() else {}

    @property
    def metrics(self) -> Json:
        """The measured numbers, flattened, without the suffix `.value`; empty before the evaluation."""
        return measured(flatten(self.evaluation))

    @property
    def configurations(self) -> list[Configuration]:
        """The configurations of a study; empty for an experiment."""
        history, evaluation = self.history, self.evaluation
        return [_configuration(name, history, evaluation[name]) for name in evaluation.get("configurations", ())]

    @property
    def fidelity_protocol(self) -> str:
        """A phrase that says how fidelity was measured; empty if it was not measured."""
        evaluation = self.evaluation
        try:
            found = evaluation[name_of("fid", evaluation)]
        except KeyError:
            return ""
        return (
            f"{found['samples']:,} samples against {found['reference']} ({found['reference_images']:,} images), "
            f"features of {found['extractor']}"
        )

    @property
    def snapshot_scores(self) -> History:
        """One row per scored snapshot, with columns `snapshot_<measure>`; empty if no snapshots were scored."""
        path = self.path / SNAPSHOTS
        return [_snapshot_row(row) for row in read_history(path)] if path.exists() else []

    @property
    def curves(self) -> History:
        """All rows that MLflow shows, except speeds: the history, the metrics at its last step, the snapshots."""
        history = self.history
        step = step_name(history[-1])
        metrics = {key: float(value) for key, value in self.metrics.items()}
        return [*history, {step: history[-1][step], **metrics}, *self.snapshot_scores]

    @property
    def updates(self) -> History:
        """The number of updates at each epoch, to compare runs of different batch sizes; empty without epochs."""
        each = self.inputs.get("epoch_updates")
        return [{"epoch": row["epoch"], "updates": int(row["epoch"]) * each} for row in self.history] if each else []

    @property
    def figures(self) -> list[Path]:
        return sorted((self.path / "figures").glob("*.png"))

    @property
    def samples_folder(self) -> Path:
        """The folder for the sheets of samples from these weights."""
        return self.path / "samples" / self.inputs["weights_sha256"][:16]

    @property
    def samples(self) -> dict[int, Path]:
        """The sheets of samples by epoch, in order."""
        return {int(path.stem): path for path in sorted(self.samples_folder.glob("*.png"))}

    @property
    def digest(self) -> str:
        """A hash of everything that MLflow shows of this run. If it is unchanged, MLflow is up to date."""
        shown = self.inputs, self.history, _hashes(self.samples.values())
        return sha256_of_json([LAYOUT_VERSION, *shown, self.metrics, self.snapshot_scores, _hashes(self.figures)])

    def weights_of_same_name(self) -> set[str]:
        """Return the SHA-256 of the weights in all run folders of this name, for all settings."""
        found = set()
        for path in self.path.parent.glob(f"*/{MANIFEST}"):
            with suppress(TriptychError):  # another run folder may be damaged
                found.add(read_json(path)["weights_sha256"])
        return found

    def write_mlflow_link(self, tracking_uri: str, run_id: str) -> None:
        """Save which MLflow run shows these results."""
        write_json(self.path / MLFLOW_LINK, {"tracking_uri": tracking_uri, "run_id": run_id})

    @property
    def mlflow_run_id(self) -> str | None:
        """The MLflow run that shows these results; None if there is no such run."""
        path = self.path / MLFLOW_LINK
        return read_json(path)["run_id"] if path.exists() else None


def _configuration(name: str, history: History, evaluation: Json) -> Configuration:
    values = flatten(evaluation)
    words = {key: value for key, value in values.items() if isinstance(value, str)}
    return Configuration(name, [_configuration_row(row, f"{name}.") for row in history], measured(values), words)


def _configuration_row(row: dict[str, float], prefix: str) -> dict[str, float]:
    step = step_name(row)
    return {step: row[step]} | {key.removeprefix(prefix): row[key] for key in row if key.startswith(prefix)}


def _snapshot_row(row: dict[str, float]) -> dict[str, float]:
    step = step_name(row)
    return {step: row[step]} | {f"snapshot_{key}": value for key, value in row.items() if key != step}


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in paths}

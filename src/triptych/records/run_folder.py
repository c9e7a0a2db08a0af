"""A run folder holds the results of one training run, so that MLflow can be rebuilt at any time.

It is `.triptych/runs/<name>/<first 16 digits of the fingerprint>/`:

| file | content |
| --- | --- |
| `manifest.json` | the inputs of the training run |
| `history.csv` | one row per epoch, or per some iterations of a study |
| `metrics.json` | the results of the evaluation; missing before the evaluation |
| `figures/` | the pictures of the evaluation |
| `snapshots.csv` | the scores of each snapshot, for a GAN with a critic |
| `samples/<weights>/<epoch>.png` | one sheet of samples per snapshot, for an experiment |
| `mlflow.json` | the MLflow run that shows these results |

`sample_sheets.py` draws the sheets of samples.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.core.errors import TriptychError
from triptych.core.file_names import HISTORY, MANIFEST, METRICS, RESULTS
from triptych.core.files import atomic_folder, copy_file
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.json_files import flatten, read_json, write_json
from triptych.evaluation.fidelity.metric_names import name_of
from triptych.evaluation.results_file import measured
from triptych.evaluation.snapshot_scores import SNAPSHOTS
from triptych.repository.project import Project
from triptych.studies.kinds import STUDIES
from triptych.training.history import STEPS, History, read_history, step_name

Json = dict[str, Any]

CURVES = ("train_", "valid_", "snapshot_")
"""In MLflow, the last part of the name of every curve begins with one of these, and that of no other number."""
RENAMED = "measured."  # before a measured number that has the name of a curve
SPEEDS = ("train_seconds", "seconds_per_update", "images_per_second", "iterations_per_second")
"""Facts of the journal that MLflow shows as metrics."""
PICTURES = "[A-Z][0-9]*.png"  # U1.13-elbo.png answers question U1.13: docs/questions.md
MLFLOW_LINK = "mlflow.json"
LAYOUT_VERSION = 5
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


def is_complete_model(folder: Path) -> bool:
    """Return whether a folder holds the manifest and the history of a training run that has ended."""
    return all((folder / part).exists() for part in (MANIFEST, HISTORY))


def has_weights(model: Path, sha256: str) -> bool:
    """Return whether a folder holds a model with these weights, by its manifest."""
    manifest = model / MANIFEST
    return manifest.exists() and read_json(manifest).get("weights_sha256") == sha256


def copy_model(project: Project, name: str, model: Path) -> RunFolder:
    """Copy manifest and history of a trained model into its run folder; return the run folder."""
    run = run_folder_of(project, name, read_json(model / MANIFEST)["fingerprint"])
    for part in (MANIFEST, HISTORY):
        copy_file(model / part, run.path / part)
    return run


def copy_evaluation(run: RunFolder, plots: Path) -> None:
    """Copy results, snapshot scores and pictures of an evaluation into the run folder."""
    copy_file(plots / RESULTS, run.path / METRICS)
    if (plots / SNAPSHOTS).exists():
        copy_file(plots / SNAPSHOTS, run.path / SNAPSHOTS)
    copy_pictures(plots, run.path / "figures")


def copy_results(project: Project, name: str) -> RunFolder:
    """Copy a trained model, and its evaluation if it is of these weights, into the run folder; return the folder."""
    model, results = project.model(name), project.results(name)
    run = copy_model(project, name, model)
    if results.exists() and has_weights(model, read_json(results)["weights_sha256"]):
        copy_evaluation(run, project.plots(name))
    return run


def copy_pictures(source: Path, target: Path) -> None:
    """Replace the folder `target` by the pictures in `source`."""
    with atomic_folder(target) as folder:
        for picture in sorted(source.glob(PICTURES)):
            shutil.copyfile(picture, folder / picture.name)


def training_curves(history: History) -> History:
    """Return a history under the names of MLflow, where `train_` precedes a quantity without a prefix.

    >>> training_curves([{"iteration": 5, "arcs-k8.kl": 1.9}, {"epoch": 1, "valid_kl": 2.1}])
    [{'iteration': 5, 'arcs-k8.train_kl': 1.9}, {'epoch': 1, 'valid_kl': 2.1}]
    """
    return [{_curve_name(key): value for key, value in row.items()} for row in history]


def measured_numbers(metrics: Json) -> Json:
    """Return the measured numbers in metrics, flattened, under the names of MLflow.

    `fid_classifier.value` loses its suffix. A name that a curve could have gets the prefix `measured.`.
    """
    return {f"{RENAMED}{key}" if _is_curve(key) else key: value for key, value in measured(flatten(metrics)).items()}


def numbers_of_evaluation(metrics: Mapping[str, float]) -> dict[str, float]:
    """Return the measured numbers, under their own names, among the metrics of a run in MLflow.

    >>> numbers_of_evaluation({"valid_kl": 2.1, "updates": 60.0, "measured.train_kl": 1.5, "test.elbo": -99.0})
    {'train_kl': 1.5, 'test.elbo': -99.0}
    """
    return {
        key.removeprefix(RENAMED): value
        for key, value in metrics.items()
        if key.startswith(RENAMED) or not (_is_curve(key) or key in (*SPEEDS, "updates"))
    }


def _curve_name(column: str) -> str:
    if column in STEPS or _is_curve(column):
        return column
    configuration, dot, quantity = column.rpartition(".")
    return f"{configuration}{dot}train_{quantity}"


def _is_curve(name: str) -> bool:
    return name.rpartition(".")[-1].startswith(CURVES)


@dataclass(frozen=True)
class RunFolder:
    """Read the results of one training run. Properties raise TriptychError if a file is missing or damaged."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.parent.name

    @property
    def is_complete(self) -> bool:
        """Whether the training run has ended."""
        return is_complete_model(self.path)

    @property
    def inputs(self) -> Json:
        return read_json(self.path / MANIFEST)

    @property
    def history(self) -> History:
        """The history of the training, under the names of MLflow."""
        return training_curves(read_history(self.path / HISTORY))

    @property
    def last_step(self) -> tuple[str, int]:
        """The name and the number of the last step, such as ("epoch", 20)."""
        row = self.history[-1]
        name = step_name(row)
        return name, int(row[name])

    @property
    def evaluation(self) -> Json:
        """The content of `metrics.json`; empty before the evaluation."""
        path = self.path / METRICS
        return read_json(path) if path.exists() else {}

    @property
    def metrics(self) -> Json:
        """The measured numbers, under the names of MLflow; empty before the evaluation."""
        return measured_numbers(self.evaluation)

    @property
    def metrics_at_last_step(self) -> dict[str, float]:
        """The measured numbers as a row of MLflow, with the name and the number of the last step."""
        step, last = self.last_step
        return {step: last, **{key: float(value) for key, value in self.metrics.items()}}

    @property
    def configurations(self) -> dict[str, Json]:
        """The results of each configuration of a study, flattened; empty for an experiment."""
        evaluation = self.evaluation
        return {name: flatten(evaluation[name]) for name in evaluation.get("configurations", ())}

    def history_of(self, configuration: str) -> History:
        """Return the columns of one configuration of a study, under their names without the configuration's."""
        prefix = f"{configuration}."
        return [
            {key.removeprefix(prefix): row[key] for key in row if key in STEPS or key.startswith(prefix)}
            for row in self.history
        ]

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
        rows = read_history(path) if path.exists() else []
        return [{key if key in STEPS else f"snapshot_{key}": row[key] for key in row} for row in rows]

    @property
    def curves(self) -> History:
        """All rows that MLflow shows, except speeds: the history, the metrics at its last step, the snapshots."""
        return [*self.history, self.metrics_at_last_step, *self.snapshot_scores]

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

    def write_mlflow_link(self, run_id: str) -> None:
        """Save which MLflow run shows these results."""
        write_json(self.path / MLFLOW_LINK, {"run_id": run_id})

    @property
    def mlflow_run_id(self) -> str | None:
        """The MLflow run that shows these results; None if there is no such run."""
        path = self.path / MLFLOW_LINK
        return read_json(path, "delete it and run `triptych sync`")["run_id"] if path.exists() else None


def _hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256_of_file(path) for path in paths}

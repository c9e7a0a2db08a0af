"""Copy results into run folders: a trained model's manifest and history, an evaluation's metrics and pictures."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from triptych.core.file_names import HISTORY, MANIFEST, METRICS
from triptych.core.files import atomic_folder, copy_file
from triptych.core.json_files import read_json
from triptych.evaluation.gan.snapshot_scores import SNAPSHOTS
from triptych.records.run_folder import RunFolder, run_folder_of

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.core.project import Project
    from triptych.settings.params import Settings

PICTURES = "[A-Z][0-9]*.png"  # named by the deliverable that they show, such as U1.13-elbo.png


def copy_all_results(project: Project, settings: Settings) -> None:
    """Copy all results on disk into run folders, for example after `dvc checkout` or on another machine."""
    for name in settings.measured:
        model, metrics, plots = project.model(name), project.metrics(name), project.plots(name)
        if not all((model / part).exists() for part in (MANIFEST, HISTORY)):
            continue
        run = copy_model(project, name, model)
        if metrics.exists() and read_json(metrics)["weights_sha256"] == run.inputs["weights_sha256"]:
            copy_evaluation(run, metrics, plots)


def copy_model(project: Project, name: str, model: Path) -> RunFolder:
    """Copy manifest and history of a trained model into its run folder; return the run folder."""
    run = run_folder_of(project, name, read_json(model / MANIFEST)["fingerprint"])
    run.path.mkdir(parents=True, exist_ok=True)
    for part in (MANIFEST, HISTORY):
        copy_file(model / part, run.path / part)
    return run


def copy_evaluation(run: RunFolder, metrics: Path, plots: Path | None) -> None:
    """Copy metrics, snapshot scores and pictures of an evaluation into the run folder."""
    copy_file(metrics, run.path / METRICS)
    if not plots or not plots.is_dir():
        return
    if (plots / SNAPSHOTS).exists():
        copy_file(plots / SNAPSHOTS, run.path / SNAPSHOTS)
    with atomic_folder(run.path / "figures") as folder:
        for picture in sorted(plots.glob(PICTURES)):
            shutil.copyfile(picture, folder / picture.name)

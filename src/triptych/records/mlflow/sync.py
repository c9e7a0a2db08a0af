"""`triptych sync`: rebuild MLflow from the results on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST
from triptych.core.messages import warn
from triptych.records.journal import look_up
from triptych.records.mlflow.artifact_cleanup import delete_unknown_files
from triptych.records.mlflow.run_writer import bring_up_to_date
from triptych.records.mlflow.store import Store
from triptych.records.run_folder import (
    RunFolder,
    all_run_folders,
    copy_results,
    has_weights,
    is_complete_model,
    stage_of,
)
from triptych.records.sample_sheets import draw_sample_sheets
from triptych.repository.project import Project
from triptych.settings.params import Settings


def sync(project: Project, settings: Settings, show: Callable[[str], None] = lambda _: None) -> tuple[int, int]:
    """Make MLflow show every run folder that is not damaged; return how many they are, and how many were rebuilt.

    Before each run, call `show` with its number and that of all runs. Raises TriptychError if the database or the
    server does not answer.
    """
    _copy_results(project, settings)
    store, rebuilt = Store(project, settings.seed_groups()), []
    with store.reported():
        store.mark_dead_runs()
        runs = list(all_run_folders(project))
        for number, run in enumerate(runs, 1):
            show(f"{number} of {len(runs)} runs")
            with _warning(f"the run folder {run.path}"):
                rebuilt.append(_sync_run(store, run))
        delete_unknown_files(store)
    return len(rebuilt), sum(rebuilt)


def _copy_results(project: Project, settings: Settings) -> None:
    """Copy all results on disk into run folders, for example after `dvc checkout` or on another machine."""
    for name in settings.measured:
        if is_complete_model(project.model(name)):
            with _warning(f"the present result of {name}"):
                copy_results(project, name)


@contextmanager
def _warning(what: str) -> Iterator[None]:
    """End the block with a warning if it finds damaged files."""
    try:
        yield
    except TriptychError as error:
        warn(f"{what} is left out: {error}")


def _sync_run(store: Store, run: RunFolder) -> bool:
    """Bring one run up to date; return whether it was rebuilt. Raises TriptychError if its folder is damaged."""
    stage, model = stage_of(run.inputs["family"]), store.project.model(run.name)
    facts = look_up(store.project, stage, run.name, run.path / MANIFEST)
    is_on_disk = stage == "train" and has_weights(model, run.inputs["weights_sha256"])
    shown = model if is_on_disk and _try_to_draw_samples(run, model) else None
    return bring_up_to_date(store, run, facts, shown)


def _try_to_draw_samples(run: RunFolder, model: Path) -> bool:
    """Draw the sheets of samples of a model; return whether that was possible, else warn."""
    try:
        draw_sample_sheets(run, model)
    except TriptychError as error:
        warn(f"MLflow shows {run.name} without its model: {error}")
        return False
    return True

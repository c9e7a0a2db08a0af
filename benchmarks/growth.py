"""The cost of the pipeline besides the work of its stages, and its growth with experiments, points and images."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Collection
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from ruamel.yaml import YAML

from data_sets import prepared
from harness import PROGRESS, ROOT, Table, seconds
from project_copy import ProjectCopy, tiny_project
from triptych.evaluation.fidelity.extractors import open_classifier
from triptych.models.classifier.shipped import shipped_folder
from triptych.records.mlflow.store import Store
from triptych.repository.project import Project
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.images import HeldOutImages
from triptych.training.reproducible import deterministic, generator
from triptych_loop import TriptychLoop

if TYPE_CHECKING:
    from pathlib import Path

    from harness import Context

TIMES = 10
COLUMNS = ("once", "ten times", "growth")
POINTS, QUANTITIES, IMAGES = 1000, 10, 1000
SOURCES = {"vae": "vae-20d", "gan": "gan-mnist", "flow": "realnvp-mnist"}
FEW_STUDIES = "planar-samples"
STUDY_SOURCES = {"planar": "planar-samples", "dirac": "dirac"}
PLACES = ("models/{}", "plots/{}", "metrics/{}.json")
COUNTS = (IMAGES, TIMES * IMAGES)
NOOP_GOAL = "under 4 s"


def measure(context: Context) -> list[Table]:
    """Fill the table `growth`, in seconds."""
    table = Table("growth")
    _experiments(context, table)
    _points(context, table)
    _checkpoint(context, table)
    _images(context, table)
    return [table]


def _experiments(context: Context, table: Table) -> None:
    """Time `report` and no-ops with one entry per family and one study, with ten of each, and with all entries.

    The outputs are copies of those of a tiny project, because a no-op does not depend on their content.
    """
    PROGRESS.say("growth: run a tiny project")
    source = tiny_project(context.folder / "source")
    source.triptych("repro")
    few = {*SOURCES.values(), FEW_STUDIES}
    once, more = pair = [_filled(context.folder / f"times-{times}", source, times, few) for times in (1, TIMES)]
    whole = _filled(context.folder / "whole", source, 1)
    for _ in PROGRESS.rounds("growth: report", context.rounds):
        table.compare(
            f"`triptych report`, {len(few)} entries", COLUMNS, *(copy.triptych("report").seconds for copy in pair)
        )
        table.add("`triptych report`, all entries", COLUMNS[0], whole.triptych("report").seconds, "s")
    for project in (once, whole):
        project.dvc("commit", "--force")
    _copy_lock_entries(once, more)
    more.dvc("commit", "--force", "report")
    for project in (*pair, whole):
        project.refuse_changes()
    for _ in PROGRESS.rounds("growth: no-ops", context.rounds):
        for command, work in (("triptych", ProjectCopy.triptych), ("dvc", ProjectCopy.dvc)):
            row = f"no-op `{command} repro`"
            table.compare(f"{row}, {len(few)} entries", COLUMNS, *(work(project, "repro").seconds for project in pair))
            table.add(f"{row}, all entries", COLUMNS[0], work(whole, "repro").seconds, "s")
            table.set_text(f"{row}, all entries", "goal", NOOP_GOAL)


def _filled(folder: Path, source: ProjectCopy, times: int, kept: Collection[str] = ()) -> ProjectCopy:
    """Return a project with each experiment and study (of `kept`, if given) `times` times, and with their outputs."""

    def multiply(data: dict[str, Any]) -> None:
        for part in ("experiments", "studies"):
            data[part] = {
                _numbered(name, number): deepcopy(entry)
                for name, entry in data[part].items()
                if not kept or name in kept
                for number in range(times)
            }

    project = ProjectCopy(folder, multiply)
    copied_from = {
        **{name: SOURCES[entry["family"]] for name, entry in project.settings["experiments"].items()},
        **{name: STUDY_SOURCES[entry["study"]] for name, entry in project.settings["studies"].items()},
    }
    for name, original in copied_from.items():
        for place in PLACES:
            _copy(source.folder / place.format(original), folder / place.format(name))
    for name in project.settings["datasets"]:
        _copy(source.folder / "data/raw/mnist.npz", folder / f"data/raw/{name}.npz")
        _copy(source.folder / "data/prepared/mnist", folder / f"data/prepared/{name}")
    for name in project.settings["references"]:
        _copy(source.folder / "data/reference/mnist", folder / f"data/reference/{name}")
    return project


def _numbered(name: str, number: int) -> str:
    """Return the name of a copy of an entry; the first copy keeps the name."""
    return f"{name}-{number}" if number else name


def _copy_lock_entries(once: ProjectCopy, more: ProjectCopy) -> None:
    """Write the lock file that `dvc commit` would write in the second project; DVC needs 15 minutes for it."""
    shutil.copytree(once.folder / ".dvc" / "cache", more.folder / ".dvc" / "cache", dirs_exist_ok=True)
    lock = YAML(typ="safe", pure=True).load((once.folder / "dvc.lock").read_text(encoding="utf-8"))
    named = {*once.settings["experiments"], *once.settings["studies"]}
    stages = {}
    for stage, entry in lock["stages"].items():
        kind, _, name = stage.partition("@")
        if name not in named or kind not in ("train", "evaluate", "study"):
            stages[stage] = entry
            continue
        for number in range(TIMES):
            stages[f"{kind}@{_numbered(name, number)}"] = _renamed(entry, name, _numbered(name, number))
    with (more.folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({**lock, "stages": stages}, file)


def _renamed(entry: Any, old: str, new: str) -> Any:  # noqa: ANN401 (any YAML value)
    """Return the entry with the name of the item changed in its paths and settings."""
    if isinstance(entry, dict):
        return {_renamed(key, old, new): _renamed(value, old, new) for key, value in entry.items()}
    if isinstance(entry, list):
        return [_renamed(value, old, new) for value in entry]
    if isinstance(entry, str) and not entry.startswith("src/"):
        return re.sub(rf"(?<=[/.]){re.escape(old)}(?=$|\.json)", new, entry)
    return entry


def _copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True)
    elif source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def _points(context: Context, table: Table) -> None:
    """Time the logging of rows of ten numbers to MLflow, in batches as in a training."""
    folder = context.folder / "points"
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    store = Store(Project(folder))
    inputs = {"family": "vae", "profile": "quick", "fingerprint": "benchmark", "settings": {}, "data": {}}

    def log(points: int) -> Callable[[], None]:
        run = store.create_run("benchmark", inputs, {})
        rows = [
            {"epoch": epoch, **{f"quantity_{index}": epoch + index / QUANTITIES for index in range(QUANTITIES)}}
            for epoch in range(points // QUANTITIES)
        ]
        return lambda: store.log_rows(run, rows)

    log(POINTS)()
    for _ in PROGRESS.rounds("growth: points", context.rounds):
        table.compare(
            f"logging {POINTS:,} points", COLUMNS, *(seconds(log(points)) for points in (POINTS, TIMES * POINTS))
        )


def _checkpoint(context: Context, table: Table) -> None:
    name = "realnvp-mnist"
    data = prepared(context.settings, context.settings.experiment(name).dataset, context.folder)
    trainer, folder = TriptychLoop(context.settings, name, data, "full").trainer, context.folder / "checkpoint"
    folder.mkdir()
    state, place = trainer.state(), CheckpointFolder(folder)
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values()) / 1e6
    for number in PROGRESS.rounds("growth: checkpoint", context.rounds):
        row = f"a checkpoint of {name}, {size:,.0f} MB"
        table.add(row, COLUMNS[0], seconds(lambda number=number: place.save(number, state, [], 0.0)), "s")


def _images(context: Context, table: Table) -> None:
    """Time the work of an evaluation per image: measures of held-out images, samples, and features."""
    for family, name in SOURCES.items():
        data = prepared(context.settings, context.settings.experiment(name).dataset, context.folder)
        training = TriptychLoop(context.settings, name, data, "full")
        held_out = [_first(HeldOutImages(data, "test", training.trainer.device), count) for count in COUNTS]
        latents = training.family.draw_latents(max(COUNTS), generator(0, "benchmark"))
        validate = partial(training.trainer.validate, 0)
        draw = [partial(training.family.sample, latents[:count]) for count in COUNTS]
        for _ in PROGRESS.rounds(f"growth: images, {family}", context.rounds):
            with deterministic(context.settings.runtime):
                numbers = [seconds(partial(validate, images)) for images in held_out]
                drawn = [seconds(work) for work in draw]
            table.compare(f"{family}: validation of {IMAGES:,} images", COLUMNS, *numbers)
            table.compare(f"{family}: {IMAGES:,} samples", COLUMNS, *drawn)
    _features(context, table, held_out[-1].pixels)


def _first(images: HeldOutImages, count: int) -> HeldOutImages:
    """Return the first `count` images, loaded into memory."""
    few = HeldOutImages(images.data, images.split, images.device, count)
    for loaded in ("pixels",) if images.data.binary else ("pixels", "continuous"):
        getattr(few, loaded)
    return few


def _features(context: Context, table: Table, pixels: torch.Tensor) -> None:
    extractor = open_classifier(shipped_folder("mnist-v1"), 28, torch.device("cpu"))
    for _ in PROGRESS.rounds("growth: features", context.rounds):
        with deterministic(context.settings.runtime):
            taken = [seconds(lambda count=count: extractor.extract(pixels[:count])) for count in COUNTS]
        table.compare(f"features of {IMAGES:,} images, by the classifier", COLUMNS, *taken)

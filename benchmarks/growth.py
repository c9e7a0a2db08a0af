"""What the pipeline costs beside its stages' work, at once and at ten times the experiments, points and images."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Collection
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from ruamel.yaml import YAML

from bench import ROOT
from data import prepared
from harness import PROGRESS, Table, seconds
from ours import Training
from project import Copy, tiny
from triptych.core.project import Project
from triptych.evaluation.fidelity.extractors import ClassifierExtractor, Extractor
from triptych.models.classifier.network import build_classifier
from triptych.records.mlflow.store import Store
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.images import HeldOutImages
from triptych.training.reproducible import deterministic, generator, seeded

if TYPE_CHECKING:
    from pathlib import Path

    from bench import Bench

TIMES = 10
COLUMNS = ("once", "ten times", "growth")
POINTS, QUANTITIES, IMAGES = 1000, 10, 1000
DONORS = {"vae": "vae-20d", "gan": "gan-mnist", "flow": "realnvp-mnist"}
FEW_STUDIES = "planar-samples"
STUDY_DONORS = {"planar": "planar-samples", "dirac": "dirac"}
PLACES = ("models/{}", "plots/{}", "metrics/{}.json")
COUNTS = (IMAGES, TIMES * IMAGES)
NOOP_GOAL = "under 4 s"


def measure(bench: Bench) -> list[Table]:
    """One table, `growth`, in seconds."""
    table = Table("growth")
    _experiments(bench, table)
    _points(bench, table)
    _checkpoint(bench, table)
    _images(bench, table)
    return [table]


def _experiments(bench: Bench, table: Table) -> None:
    """The report and no-ops with one entry a family and a study, with ten of each, and with all of `params.yaml`.

    The results are those of a tiny project, copied to where DVC expects them: asked what is up to date, it never looks
    at what they hold.
    """
    PROGRESS.say("growth: the whole of a tiny project")
    donor = tiny(bench.folder / "donor")
    donor.triptych("repro")
    few = {*DONORS.values(), FEW_STUDIES}
    once, more = pair = [_filled(bench.folder / f"times-{times}", donor, times, few) for times in (1, TIMES)]
    whole = _filled(bench.folder / "whole", donor, 1)
    for _ in PROGRESS.rounds("growth: report", bench.rounds):
        table.compare(
            f"`triptych report`, {len(few)} entries", COLUMNS, *(copy.triptych("report").seconds for copy in pair)
        )
        table.add("`triptych report`, all entries", COLUMNS[0], whole.triptych("report").seconds, "s")
    for project in (once, whole):
        project.dvc("commit", "--force")
    _record_likewise(once, more)
    more.dvc("commit", "--force", "report")
    for project in (*pair, whole):
        project.refuse_changes()
    for _ in PROGRESS.rounds("growth: no-ops", bench.rounds):
        for command, work in (("triptych", Copy.triptych), ("dvc", Copy.dvc)):
            row = f"no-op `{command} repro`"
            table.compare(f"{row}, {len(few)} entries", COLUMNS, *(work(project, "repro").seconds for project in pair))
            table.add(f"{row}, all entries", COLUMNS[0], work(whole, "repro").seconds, "s")
            table.say(f"{row}, all entries", "goal", NOOP_GOAL)


def _filled(folder: Path, donor: Copy, times: int, kept: Collection[str] = ()) -> Copy:
    """The project with its experiments and studies (or those to be kept) so many times each, and with their results.

    All but the report's.
    """

    def multiply(data: dict[str, Any]) -> None:
        for part in ("experiments", "studies"):
            data[part] = {
                numbered(name, number): deepcopy(entry)
                for name, entry in data[part].items()
                if not kept or name in kept
                for number in range(times)
            }

    project = Copy(folder, multiply)
    given = {
        **{name: DONORS[entry["family"]] for name, entry in project.settings["experiments"].items()},
        **{name: STUDY_DONORS[entry["study"]] for name, entry in project.settings["studies"].items()},
        **{f"classifier-{name}": "classifier-mnist" for name in project.settings["classifiers"]},
    }
    for name, source in given.items():
        for place in PLACES:
            _copy(donor.folder / place.format(source), folder / place.format(name))
    for name in project.settings["datasets"]:
        _copy(donor.folder / "data/raw/mnist.npz", folder / f"data/raw/{name}.npz")
        _copy(donor.folder / "data/prepared/mnist", folder / f"data/prepared/{name}")
    for name in project.settings["references"]:
        _copy(donor.folder / "data/reference/mnist", folder / f"data/reference/{name}")
    return project


def numbered(name: str, number: int) -> str:
    """The name of a copy of an entry; the first keeps its own."""
    return f"{name}-{number}" if number else name


def _record_likewise(once: Copy, more: Copy) -> None:
    """What `dvc commit` of the second would write, from that of the first: by itself it takes a quarter of an hour."""
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
            stages[f"{kind}@{numbered(name, number)}"] = _renamed(entry, name, numbered(name, number))
    with (more.folder / "dvc.lock").open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump({**lock, "stages": stages}, file)


def _renamed(entry: Any, old: str, new: str) -> Any:  # noqa: ANN401 (whatever the YAML holds)
    """The entry with the item's name changed in its paths and settings."""
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


def _points(bench: Bench, table: Table) -> None:
    """MLflow's own: rows of ten quantities, sent as a training sends what has gathered."""
    folder = bench.folder / "points"
    folder.mkdir()
    shutil.copyfile(ROOT / "params.yaml", folder / "params.yaml")
    store = Store(Project(folder))
    inputs = {"family": "vae", "profile": "quick", "fingerprint": "benchmark", "settings": {}, "data": {}}

    def log(points: int) -> Callable[[], None]:
        run = store.create_run("benchmark", inputs, {}, {})
        rows = [
            {"epoch": epoch, **{f"quantity_{index}": epoch + index / QUANTITIES for index in range(QUANTITIES)}}
            for epoch in range(points // QUANTITIES)
        ]
        return lambda: store.log_history(run, rows)

    log(POINTS)()
    for _ in PROGRESS.rounds("growth: points", bench.rounds):
        table.compare(
            f"logging {POINTS:,} points", COLUMNS, *(seconds(log(points)) for points in (POINTS, TIMES * POINTS))
        )


def _checkpoint(bench: Bench, table: Table) -> None:
    name = "realnvp-mnist"
    data = prepared(bench.settings, bench.settings.experiment(name).dataset, bench.folder)
    trainer, folder = Training(bench.settings, name, data, "full").trainer, bench.folder / "checkpoint"
    folder.mkdir()
    state, place = trainer.state(), CheckpointFolder(folder, os.getppid())
    size = sum(tensor.numel() * tensor.element_size() for tensor in state.values()) / 1e6
    for number in PROGRESS.rounds("growth: checkpoint", bench.rounds):
        row = f"a checkpoint of {name}, {size:,.0f} MB"
        table.add(row, COLUMNS[0], seconds(lambda number=number: place.save(number, state, [], 0.0)), "s")


def _images(bench: Bench, table: Table) -> None:
    """The numbers of held-out images, samples, and features: what an evaluation does for each image."""
    for family, name in DONORS.items():
        data = prepared(bench.settings, bench.settings.experiment(name).dataset, bench.folder)
        training = Training(bench.settings, name, data, "full")
        judged = [_first(HeldOutImages(data, "test", training.trainer.device), count) for count in COUNTS]
        latents = training.family.draw_latents(max(COUNTS), generator(0, "benchmark"))
        judge = partial(training.trainer.validate, 0)
        draw = [partial(training.family.sample, latents[:count]) for count in COUNTS]
        for _ in PROGRESS.rounds(f"growth: images, {family}", bench.rounds):
            with deterministic(bench.settings.runtime):
                numbers = [seconds(partial(judge, images)) for images in judged]
                drawn = [seconds(work) for work in draw]
            table.compare(f"{family}: numbers of {IMAGES:,} images", COLUMNS, *numbers)
            table.compare(f"{family}: {IMAGES:,} samples", COLUMNS, *drawn)
    _features(bench, table, judged[-1].pixels)


def _first(images: HeldOutImages, count: int) -> HeldOutImages:
    """The first so many, loaded."""
    few = HeldOutImages(images.data, images.split, images.device, count)
    few.__dict__["pixels"] = images.pixels[:count]
    if images.data.manifest["dequantization"] != "none":
        few.__dict__["continuous"] = images.continuous[:count]
    return few


def _features(bench: Bench, table: Table, pixels: torch.Tensor) -> None:
    with seeded(0, "benchmark"):
        network = ClassifierExtractor(build_classifier(bench.settings.classifier("mnist").model_at("full")))
    extractor = Extractor(network, "classifier", "classifier", "")
    for _ in PROGRESS.rounds("growth: features", bench.rounds):
        with deterministic(bench.settings.runtime):
            taken = [seconds(lambda count=count: extractor.extract(pixels[:count])) for count in COUNTS]
        table.compare(f"features of {IMAGES:,} images, by the classifier", COLUMNS, *taken)

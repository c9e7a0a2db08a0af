"""Shared fixtures: the project's settings with tiny budgets, on embedded digits."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import hypothesis
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from triptych.cli.main import SPIN_COUNT, SPIN_VARIABLE, cli
from triptych.core.tracker import Console
from triptych.data.image_shapes import IMAGE_SHAPES
from triptych.runner import fork_server
from triptych.settings.params import Settings, parse
from triptych.stages.fetch import fetch
from triptych.stages.prepare import prepare
from triptych.stages.study import study
from triptych.training.history import step_name

ROOT = Path(__file__).parents[1]
os.environ.pop("MLFLOW_TRACKING_URI", None)  # the tests record nothing on the user's server
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell ignores Ctrl-C, and commands inherit it
NOTES = tuple(f"data/{name}" for name in IMAGE_SHAPES)  # on published images, in place of the user's own
COPIED = (*NOTES, "dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", "src", ".dvc/config", ".dvc/plots")

hypothesis.settings.register_profile("repeatable", derandomize=True, deadline=None, database=None)
hypothesis.settings.load_profile("repeatable")


ONE_A_FAMILY = ("vae-20d", "gan-mnist", "realnvp-mnist")
TINY = (*ONE_A_FAMILY, "vae-2d", "cifar10-jsd-2", "nice-mnist", "planar-samples", "planar-density")
ONE_STUDY = ("planar-samples",)


def shrink(data: dict, kept: tuple[str, ...] = (*ONE_A_FAMILY, *ONE_STUDY)) -> dict:
    """Keep only these experiments and studies in the settings, at a size for tests; return the settings."""
    for part in (data["experiments"], data["studies"]):
        for name in set(part) - set(kept):
            del part[name]
    for part, key in (("references", "reference"), ("datasets", "dataset")):
        used = {experiment[key] for experiment in data["experiments"].values()}
        used |= {reference["dataset"] for reference in data["references"].values()} if part == "datasets" else set()
        data[part] = {name: entry for name, entry in data[part].items() if name in used}
    for entry in data["studies"].values():
        entry["iterations"] = {"quick": 12, "full": 12}
        if entry["study"] == "planar":
            entry.update(layers=[1, 3], batch_size=16, evaluation_samples=50)
    if "planar-samples" in data["studies"]:
        data["studies"]["planar-samples"] |= {"samples": 100, "densities": ["arcs"]}
    for dataset in data["datasets"].values():
        dataset["splits"]["quick"] = {"train": 300, "valid": 100, "test": 120}
    data["profiles"]["quick"] |= {
        "likelihood": {"importance_samples": 20, "train_images": 100},
        "fidelity": {"samples": 150, "kid_subsets": 5, "kid_subset_size": 50, "confidence": 0.9},
    }
    data["runtime"] |= {"checkpoint_seconds": 0.0, "device": "cpu", "threads": 1}
    for experiment in data["experiments"].values():
        experiment |= {"epochs": {"quick": 3, "full": 3}, "batch_size": 50}
        experiment.setdefault("model", {})
    experiments = data["experiments"]
    experiments["vae-20d"]["model"] |= {"hidden": [32], "latent": 4}
    if "vae-2d" in experiments:
        experiments["vae-2d"]["model"] |= {"hidden": [32], "planar_layers": 2}
    experiments["gan-mnist"]["model"] |= {"latent": 8, "generator": [16, 32], "discriminator": [32, 16]}
    experiments["realnvp-mnist"]["model"] |= {"hidden": [32], "couplings": 2}
    if "cifar10-jsd-2" in experiments:
        experiments["cifar10-jsd-2"] |= {
            "epoch_updates": {"quick": 4, "full": 4}, "snapshot_epochs": {"quick": 1, "full": 1}, "batch_size": 10
        }  # fmt: skip
        experiments["cifar10-jsd-2"]["model"] |= {"latent": 8, "width": 4}
    if "nice-mnist" in experiments:
        experiments["nice-mnist"]["model"] |= {"hidden": [32], "couplings": 4}
    return data


DIGITS_CLASSIFIER = {
    "epochs": {"quick": 10, "full": 10},
    "batch_size": 20,
    "optimizer": "adam",
    "learning_rate": 1.0e-2,
    "augmentation": "shift",
    "max_shift": 2,
    "model": {"architecture": "convolutional", "channels": [4, 8], "features": 16, "dropout": 0.0},
}


def with_classifiers(data: dict) -> dict:
    """Train small classifiers as extractors, in place of those that ship with the package; return the settings."""
    colour = {
        "epochs": {"quick": 2, "full": 2},
        "batch_size": 50,
        "optimizer": "sgd",
        "learning_rate": 0.2,
        "weight_decay": 5.0e-4,
        "augmentation": "shift_and_mirror",
        "max_shift": 4,
        "model": {"architecture": "residual", "channels": [4, 4, 8, 8]},
    }
    known = {"mnist": DIGITS_CLASSIFIER, "cifar10": colour}
    data["classifiers"] = {name: known[name] for name in data["references"]}
    data["references"] = {}
    return data


class Recorder(Console):
    """A tracker that keeps the logged epochs or iterations, and may stop the run after one of them."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.steps: list[int] = []
        self.resumed: list[dict[str, float]] = []
        self.stop_after = stop_after

    def log(self, row: Mapping[str, float]) -> None:
        step = int(row[step_name(row)])
        self.steps.append(step)
        if step == self.stop_after:
            raise KeyboardInterrupt

    def resume(self, history: list[dict[str, float]]) -> None:
        self.resumed = history


def environment() -> dict[str, str]:
    """Return the environment of a command that starts without the fork server, independent of the tests' own."""
    foreign = ("TRIPTYCH_", "MLFLOW_", "DVC_", "PYTEST_")
    spinning = {} if "OMP_WAIT_POLICY" in os.environ else {SPIN_VARIABLE: SPIN_COUNT}
    return {
        **spinning,
        **{key: value for key, value in os.environ.items() if not key.startswith(foreign)},
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "DVC_NO_ANALYTICS": "1",
        "DO_NOT_TRACK": "true",
        "GIT_CEILING_DIRECTORIES": tempfile.gettempdir(),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_AUTHOR_NAME": "t",
        "GIT_AUTHOR_EMAIL": "t@t",
        "GIT_COMMITTER_NAME": "t",
        "GIT_COMMITTER_EMAIL": "t@t",
    }


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a condition; the limit only ends a test that has failed."""
    limit = time.monotonic() + 1800
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


SLOW_FIRST = ("test_pipeline", "test_cluster", "test_rebuild", "test_processes", "test_fork_server", "test_studies")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the slowest files first, so that two processes finish at about the same time."""
    items.sort(key=lambda item: item.path.stem not in SLOW_FIRST)


@pytest.fixture(scope="session")
def warm_start() -> Iterator[dict[str, str]]:
    """Start one fork server for all tests; return the variables with which commands use it."""
    with fork_server.running(environment()) as variables:
        yield variables


def copy_project(folder: Path) -> None:
    """Copy the files of the pipeline, without results, but with compiled modules: commands need not compile them."""
    for name in COPIED:
        source, target = ROOT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copyfile(source, target)


def run_study(settings: Settings, name: str, folder: Path, tracker: Console | None = None) -> dict[str, bytes]:
    """Run the stage `study` and return every file that it leaves in the folder, without checkpoints."""
    study(
        name=name,
        settings=settings.study(name),
        profile=settings.profile,
        runtime=settings.runtime,
        output=folder / "model",
        metrics=folder / "metrics.json",
        plots=folder / "plots",
        checkpoints=folder / "checkpoints",
        code="code",
        tracker=tracker or Console(),
    )
    files = sorted(path for path in folder.rglob("*") if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def with_study(settings: Settings, name: str, **changes: object) -> Settings:
    """Return the settings with some values of a study changed."""
    changed = settings.study(name).model_copy(update=changes)
    return settings.model_copy(update={"studies": {**settings.studies, name: changed}})


@pytest.fixture(scope="session")
def params() -> dict:
    """Return the committed `params.yaml`."""
    return YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture(scope="session")
def tiny_params(params: dict) -> dict:
    return with_classifiers(shrink(copy.deepcopy(params), TINY))


@pytest.fixture(scope="session")
def tiny(tiny_params: dict) -> Settings:
    """Return validated settings with tiny budgets."""
    return parse(tiny_params)


@pytest.fixture(scope="session")
def prepared(tiny: Settings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with all prepared data sets, and with the raw images under `raw/`."""
    folder = tmp_path_factory.mktemp("data")
    prepare_all(tiny, folder)
    return folder


def prepare_all(settings: Settings, folder: Path) -> None:
    """Write all prepared data sets to a folder, and the raw images to `raw/` in it."""
    for name, dataset in settings.datasets.items():
        raw, splits = folder / "raw" / f"{name}.npz", dataset.sizes(settings.profile)
        downloads = folder / "downloads"
        fetch(dataset=dataset, source=settings.active.source, downloads=downloads, output=raw, tracker=Console())
        prepare(name=name, dataset=dataset, splits=splits, raw=raw, output=folder / name, tracker=Console())


STAGES = {  # of the project below, in order
    "fetch": ("mnist", "binarized_mnist"),
    "prepare": ("mnist", "binarized_mnist"),
    "reference": ("mnist",),
    "train": (*ONE_A_FAMILY, "vae-20d-seed-1", "vae-2d"),
    "evaluate": (*ONE_A_FAMILY, "vae-20d-seed-1"),
}


@pytest.fixture(scope="session")
def trained_project(params: dict, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project with one trained and evaluated experiment per family, and its runs in MLflow.

    `vae-20d` has two seeds, and `vae-2d` has a latent plane.
    """
    folder = tmp_path_factory.mktemp("trained")
    small = shrink(copy.deepcopy(params), (*ONE_A_FAMILY, "vae-2d"))
    small["experiments"]["vae-20d-seed-1"] = small["experiments"]["vae-20d"] | {"seed": 1}
    with (folder / "params.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(small, file)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for stage, names in STAGES.items():
            for name in names:
                done = CliRunner().invoke(cli, [stage, name])
                assert done.exit_code == 0, done.output
    return folder

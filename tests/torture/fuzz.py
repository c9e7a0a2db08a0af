"""Mutated settings and damaged files: each must work to the end or be refused in one sentence.

`Outcome.failed` lists all other results of `fuzz_settings` and `fuzz_files`; the same seed repeats them.
"""

from __future__ import annotations

import os
import re
import shutil
import tarfile
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, field
from io import BytesIO, StringIO
from pathlib import Path
from random import Random

import numpy as np
import torch
from ruamel.yaml import YAML

from conftest import ROOT, TINY, shrink, with_classifiers
from mutations import Tree, mutate_bytes, mutate_json, mutate_npz, mutate_packed, mutate_place, mutate_text, mutate_tree
from triptych.core.errors import TriptychError
from triptych.core.json_schemas import read_document
from triptych.core.settings_types import value_at
from triptych.core.tracker import Console
from triptych.data.prepared import PreparedData
from triptych.data.raw_images import read_origin
from triptych.evaluation.fidelity.reference_statistics import ReferenceStatistics
from triptych.evaluation.results_file import Results
from triptych.evaluation.snapshot_scores import panel
from triptych.models.classifier.network import load_classifier
from triptych.models.common.load import load_family, verified_manifest
from triptych.settings.params import Settings, load, parse
from triptych.sources.download import unpack_cifar
from triptych.sources.load import load_images
from triptych.sources.published_formats import CIFAR_BATCHES, CIFAR_FOLDER, IDX_NAMES
from triptych.sources.user_folder import FOLDER_VARIABLE
from triptych.stages.classifier import train_classifier
from triptych.stages.evaluate import evaluate
from triptych.stages.fetch import fetch
from triptych.stages.prepare import prepare
from triptych.stages.reference import measure_reference
from triptych.stages.report import report
from triptych.stages.study import study
from triptych.stages.summary import read_summary, summarise
from triptych.stages.train import train
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import read_history

KEPT = (*TINY, "dirac", "realnvp-mnist-multiscale")
SPLITS = {"train": 60, "valid": 24, "test": 24}
LONGEST = 700  # characters of a sentence
SECTIONS = (
    "profile", "profiles", "runtime", "datasets", "classifiers", "references", "recipes", "experiments", "studies",
)  # fmt: skip
CPU = torch.device("cpu")


@dataclass
class Outcome:
    """The counts of the examples, and the failed ones."""

    tried: int = 0
    ran: int = 0
    failed: list[str] = field(default_factory=list)

    def check(self, label: str, action: Callable[[], object]) -> None:
        """Run an example. A TriptychError of one sentence is right; any other error is a failure.

        An action returns False if it was too expensive to run.
        """
        self.tried += 1
        try:
            with redirect_stderr(StringIO()):
                found = action()
        except TriptychError as error:
            sentence = str(error)
            if "\n" in sentence or not sentence.strip() or len(sentence) > LONGEST:
                self.failed.append(f"{label}: not one sentence: {sentence[:LONGEST]!r}")
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            self.failed.append(f"{label}: {type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})")
        else:
            self.ran += found is not False


def small_settings() -> Tree:
    """Return `params.yaml` with one experiment of each kind, at a size that runs in seconds."""
    data = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    with_classifiers(shrink(data, KEPT))
    for dataset in data["datasets"].values():
        dataset["splits"] = {"quick": dict(SPLITS), "full": dict(SPLITS)}
    for profile in data["profiles"].values():
        profile |= {
            "source": "embedded",
            "likelihood": {"importance_samples": 3, "train_images": 20},
            "fidelity": {"samples": 20, "kid_subsets": 2, "kid_subset_size": 8, "confidence": 0.9},
        }
    for name, classifier in data["classifiers"].items():
        channels = [2, 3] if name == "mnist" else [2, 2, 3, 3]
        classifier |= {"epochs": {"quick": 1, "full": 1}, "batch_size": 20}
        classifier["model"]["channels"] = channels
    for entry in data["studies"].values():
        entry["iterations"] = {"quick": 4, "full": 4}
    for experiment in data["experiments"].values():
        experiment |= {"epochs": {"quick": 1, "full": 1}, "batch_size": 10}
    experiments = data["experiments"]
    experiments["cifar10-jsd-2"] |= {"epoch_updates": {"quick": 2, "full": 2}, "batch_size": 5}
    experiments["realnvp-mnist-multiscale"].setdefault("model", {}).update(channels=[2, 2], couplings=1, blocks=1)
    return data


def affordable(settings: Settings) -> bool:
    """Return whether each stage of these valid settings takes a second or two at most."""
    profile = settings.profile
    counts = [settings.active.likelihood.importance_samples / 50, settings.active.fidelity.samples / 10]
    counts += [settings.active.fidelity.kid_subsets, settings.runtime.threads * 10]
    splits = [dataset.sizes(profile) for dataset in settings.datasets.values()]
    counts += [size / 10 for sizes in splits for size in (dict(sizes).values() if sizes else [10_000])]
    for item in (*settings.classifiers.values(), *settings.experiments.values()):
        counts.append(value_at(item.epochs, profile) * 10)
        counts += _numbers(item.model_at(profile).model_dump())
        counts.append(value_at(getattr(item, "epoch_updates", None), profile) or 1)
    counts += [value_at(item.iterations, profile) for item in settings.studies.values()]
    counts += [number / 100 for item in settings.studies.values() for number in _numbers(item.model_dump())]
    return max(counts) <= 100


def _numbers(tree: object) -> Iterator[float]:
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        if isinstance(value, int):
            yield value
        yield from _numbers(value)


def run_pipeline(settings: Settings, name: str, folder: Path) -> None:
    """Run every stage that an experiment or a study needs, from fetch to report."""
    profile, runtime, console = settings.profile, settings.runtime, Console()
    shared = {
        "profile": profile,
        "runtime": runtime,
        "checkpoints": folder / "checkpoints",
        "code": "c",
        "tracker": console,
    }
    if name in settings.studies:
        study(name=name, settings=settings.study(name), output=folder / "model", metrics=folder / "m.json",
              plots=folder / "plots", **shared)  # fmt: skip
        return
    experiment = settings.experiment(name)
    compared = settings.compared_data(experiment.reference)
    for item in {experiment.dataset, compared}:
        dataset, raw = settings.dataset(item), folder / "raw" / f"{item}.npz"
        splits = dataset.sizes(profile)
        fetch(dataset=dataset, source="embedded", downloads=folder, output=raw, tracker=console)
        prepare(name=item, dataset=dataset, splits=splits, raw=raw, output=folder / "data" / item, tracker=console)
    classifier, statistics = folder / "classifier", folder / "reference"
    train_classifier(name=compared, settings=settings.classifier(compared), profile=profile,
                     runtime=runtime, data=folder / "data" / compared, output=classifier,
                     metrics=folder / "classifier.json", plots=folder / "classifier-plots",
                     checkpoints=folder / "checkpoints", code="c", tracker=console)  # fmt: skip
    measure_reference(name=experiment.reference, kind="classifier", split="test",
                      protocol=settings.active.fidelity, runtime=runtime, data=folder / "data" / compared,
                      classifier=classifier, output=statistics, tracker=console)  # fmt: skip
    data, model, plots = folder / "data" / experiment.dataset, folder / "model", folder / "plots"
    train(name=name, experiment=experiment, data=data, output=model, **shared)
    del shared["profile"]
    evaluate(name=name, experiment=experiment, likelihood=settings.active.likelihood,
             protocol=settings.active.fidelity, data=data, model=model, reference=statistics,
             metrics=folder / "m.json", plots=plots, **shared)  # fmt: skip
    report(families={name: experiment.family}, groups={name: [name]}, experiments={name: plots / "results.json"},
           studies={}, samples={name: plots / "samples.png"}, snapshots={name: plots / "snapshots.csv"},
           summary=folder / "summary.csv", seeds=folder / "seeds.csv", plots=folder / "comparison",
           tracker=console)  # fmt: skip


def _affected(settings: Settings, place: tuple, chance: Random) -> str:
    """Return the experiment or study that was mutated; a random one if the mutation is elsewhere."""
    known = [*settings.experiments, *settings.studies]
    named = place[1] if len(place) > 1 and place[0] in ("experiments", "studies") else None
    return named if named in known else chance.choice(known)


def try_settings(outcome: Outcome, tree: Tree, chance: Random, folder: Path, *, run: bool) -> None:
    """Parse one mutation of the settings; if it is valid and `run` is set, run it to the end."""
    mutated, place, change = mutate_tree(tree, chance, (chance.choice([*tree]),))
    if chance.random() < 0.2:
        mutated, place, change = mutate_tree(mutated, chance)
    label = f"{change} at {'.'.join(map(str, place))[:200]}"

    def attempt() -> bool | None:
        try:
            settings = parse(mutated)
        except TriptychError as error:
            if not re.search(rf"\b({'|'.join(SECTIONS)})\b|unknown key|missing", str(error)):
                raise AssertionError(f"the error names no key: {error}") from error
            raise
        if not (run and affordable(settings)):
            return None if not run else False
        run_pipeline(settings, _affected(settings, place, chance), folder)
        return None

    outcome.check(label, attempt)


def try_text(outcome: Outcome, text: str, chance: Random, folder: Path) -> None:
    """Read one mutation of the text of the file."""
    path = folder / "params.yaml"
    path.write_bytes(mutate_text(text, chance))
    outcome.check("the text of params.yaml", lambda: load(path))
    if (folder / "sprung").exists() or Path("sprung").exists():
        outcome.failed.append("a YAML tag ran code")


def fuzz_settings(examples: int, seed: int) -> Outcome:
    """Try mutations of the settings, which are run if they are valid, and of the text of `params.yaml`."""
    chance, outcome = Random(seed), Outcome()
    tree, text = small_settings(), (ROOT / "params.yaml").read_text(encoding="utf-8")
    for _ in range(examples):
        own = Random(chance.getrandbits(64))
        with tempfile.TemporaryDirectory() as place:
            if own.random() < 0.3:
                try_text(outcome, text, own, Path(place))
            else:
                try_settings(outcome, tree, own, Path(place), run=True)
    return outcome


@dataclass(frozen=True)
class PipelineResults:
    """The results of a small pipeline, which the examples damage."""

    folder: Path
    settings: Settings

    @classmethod
    def build(cls, folder: Path) -> PipelineResults:
        settings = parse(small_settings())
        run_pipeline(settings, "vae-20d", folder)
        (folder / "index").mkdir()
        state = {"w": torch.zeros(3)}
        CheckpointFolder(folder / "index").save(1, state, [{"epoch": 0, "x": 1.0}], 0.5)
        (folder / "snapshots.csv").write_text("epoch,update,jsd,fid\n0,0,0.1,2.0\n1,10,0.2,1.0\n")
        return cls(folder, settings)


def _images(chance: Random, count: int, shape: tuple[int, ...], top: int) -> np.ndarray:
    return np.random.default_rng(chance.getrandbits(32)).integers(0, top, (count, *shape), dtype=np.uint8)


def _labelled(chance: Random, shape: tuple[int, ...]) -> dict[str, np.ndarray]:
    labels = np.arange(40, dtype=np.uint8) % 10
    pixels = _images(chance, 40, shape, 256)
    return {"x_train": pixels, "y_train": labels, "x_test": pixels[:20], "y_test": labels[:20]}


@contextmanager
def _user_folder(folder: Path) -> Iterator[None]:
    before = os.environ.get(FOLDER_VARIABLE)
    os.environ[FOLDER_VARIABLE] = str(folder)
    try:
        yield
    finally:
        del os.environ[FOLDER_VARIABLE]
        if before is not None:
            os.environ[FOLDER_VARIABLE] = before


def _fetched(images: str, folder: Path) -> None:
    with _user_folder(folder):
        found = load_images(images, "folder", folder / "downloads")
    for name, array in found.arrays.items():
        if array.dtype != np.uint8 or (name.startswith("y_") and array.max(initial=0) > 9):
            raise AssertionError(f"{name} was accepted as {array.dtype} up to {array.max()}")


def users_npz(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    images, shape = chance.choice((("mnist", (28, 28)), ("cifar10", (3, 32, 32))))
    (folder / f"{images}.npz").write_bytes(mutate_npz(_labelled(chance, shape), chance))
    return lambda: _fetched(images, folder)


def users_idx(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    place = folder / "MNIST" / "raw"
    place.mkdir(parents=True)
    packed, damaged = chance.random() < 0.5, chance.choice([*IDX_NAMES])
    for name, array in _labelled(chance, (28, 28)).items():
        content = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes() + array.tobytes()
        content = (mutate_packed if packed else mutate_bytes)(content, chance) if name == damaged else content
        packs = packed and name == damaged
        (place / (IDX_NAMES[name] + ".gz" * packs)).write_bytes(content)
    return lambda: _fetched("mnist", folder)


def users_amat(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    damaged = chance.choice(("train", "valid", "test"))
    for split in ("train", "valid", "test"):
        lines = [" ".join(map(str, image.ravel())) for image in _images(chance, 5, (28, 28), 2)]
        text = ("\n".join(lines) + "\n").encode()
        content = mutate_bytes(text, chance) if split == damaged else text
        (folder / f"binarized_mnist_{split}.amat").write_bytes(content)
    return lambda: _fetched("binarized_mnist", folder)


def users_batches(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    place, damaged = folder / CIFAR_FOLDER, chance.randrange(6)
    place.mkdir()
    for number, name in enumerate(name for names in CIFAR_BATCHES.values() for name in names):
        content = bytes((number,)) + _images(chance, 1, (3, 32, 32), 256).tobytes()
        (place / name).write_bytes(mutate_bytes(content, chance) if number == damaged else content)
    return lambda: _fetched("cifar10", folder)


def archive(chance: Random) -> bytes:
    """Return CIFAR-10's archive with an invalid member: a link, a device, or a path outside the folder."""
    packed = BytesIO()
    names = [name for names in CIFAR_BATCHES.values() for name in names]
    odd = chance.choice(names)
    with tarfile.open(fileobj=packed, mode=chance.choice(("w:gz", "w", "w:bz2"))) as file:
        kinds = (tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE)
        for name in ("../../escaped", "/tmp/escaped", *names):
            member = tarfile.TarInfo(name if "escaped" in name else f"{CIFAR_FOLDER}/{name}")
            member.type = chance.choice(kinds) if name == odd else tarfile.REGTYPE
            member.linkname = chance.choice(("/etc/passwd", "../../x", "", member.name))
            content = bytes(3073)
            member.size = len(content) if member.isreg() else 0
            file.addfile(member, BytesIO(content) if member.isreg() else None)
    return mutate_bytes(packed.getvalue(), chance) if chance.random() < 0.5 else packed.getvalue()


def public_archive(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    content = archive(chance)

    def attempt() -> None:
        with tempfile.TemporaryDirectory() as outside:
            place = Path(outside) / "a" / "b"
            place.mkdir(parents=True)
            (place / "archive").write_bytes(content)
            try:
                unpack_cifar(place / "archive", place / "out")
            finally:
                strays = {path.name for path in Path(outside).rglob("*")} - {"a", "b", "archive", "out"}
                strays -= {name for names in CIFAR_BATCHES.values() for name in names}
                if strays or any(path.is_symlink() for path in Path(outside).rglob("*")):
                    raise AssertionError(f"the archive wrote other files: {strays}")

    return attempt


def raw_file(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    arrays = dict(np.load(results.folder / "raw" / "mnist.npz"))
    path = folder / "mnist.npz"
    path.write_bytes(mutate_npz(arrays, chance))
    dataset = results.settings.dataset("mnist")

    def attempt() -> None:
        read_origin(path)
        prepare(
            name="mnist",
            dataset=dataset,
            splits=dataset.sizes("quick"),
            raw=path,
            output=folder / "out",
            tracker=Console(),
        )

    return attempt


def _damaged(results: PipelineResults, part: str, folder: Path, chance: Random) -> Path:
    """Copy a folder of the results and damage one of its files."""
    copied = Path(shutil.copytree(results.folder / part, folder / Path(part).name))
    path = chance.choice(sorted(path for path in copied.rglob("*") if path.is_file()))
    if chance.random() < 0.2:
        mutate_place(path, chance)
    elif path.suffix == ".json":
        mutate_json(path, chance)
    else:
        path.write_bytes(mutate_bytes(path.read_bytes(), chance))
    return copied


def prepared_data(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    copied = _damaged(results, "data/mnist", folder, chance)

    def attempt() -> None:
        data = PreparedData.open(copied)
        for split in ("train", "valid", "test"):
            data.images(split), data.labels(split), data.size(split), data.has_labels(split)
        data.continuous("test")

    return attempt


def model(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    copied = _damaged(results, "model", folder, chance)
    return lambda: (verified_manifest(copied), load_family(copied, CPU), read_history(copied / "history.csv"))


def statistics(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    copied = _damaged(results, "reference", folder, chance)
    return lambda: (ReferenceStatistics.load(copied), load_classifier(copied / "classifier", CPU))


def classifier(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    copied = _damaged(results, "classifier", folder, chance)
    return lambda: (load_classifier(copied, CPU), read_history(copied / "history.csv"))


def checkpoint(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    copied = _damaged(results, "index", folder, chance)
    return lambda: CheckpointFolder(copied).load()


def _damaged_file(results: PipelineResults, name: str, folder: Path, chance: Random) -> Path:
    (folder / "one").mkdir()
    copy = shutil.copy(results.folder / name, folder / "one")
    return _damaged(PipelineResults(folder, results.settings), "one", folder / "copy", chance) / Path(copy).name


def numbers(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    path = _damaged_file(results, "plots/results.json", folder, chance)
    return lambda: summarise("vae-20d", "vae", read_document(path, Results), ["classifier"])


def summary(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    path = _damaged_file(results, "summary.csv", folder, chance)
    return lambda: read_summary(path)


def snapshots(results: PipelineResults, folder: Path, chance: Random) -> Callable[[], object]:
    path = _damaged_file(results, "snapshots.csv", folder, chance)
    return lambda: panel("x", path)


DAMAGE = (
    users_npz, users_npz, users_idx, users_amat, users_batches, public_archive, raw_file, prepared_data, model,
    statistics, classifier, checkpoint, numbers, summary, snapshots,
)  # fmt: skip


def try_file(outcome: Outcome, results: PipelineResults, chance: Random, folder: Path) -> None:
    """Damage one file of a user or of a stage, and read it."""
    kind = chance.choice(DAMAGE)
    outcome.check(kind.__name__.replace("_", " "), kind(results, folder, chance))


def fuzz_files(examples: int, seed: int) -> Outcome:
    """Read damaged files with the readers of the pipeline."""
    chance, outcome = Random(seed), Outcome()
    with tempfile.TemporaryDirectory() as place:
        with redirect_stderr(StringIO()):
            results = PipelineResults.build(Path(place))
        for _ in range(examples):
            with tempfile.TemporaryDirectory() as folder:
                try_file(outcome, results, Random(chance.getrandbits(64)), Path(folder))
    return outcome

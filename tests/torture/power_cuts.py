"""Power cuts between any two writes of a stage, on a simulated disk that loses all bytes that were not synced."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

from ruamel.yaml import YAML
from table import Row, say

from conftest import ROOT, TINY, prepare_all, run_study, shrink, with_classifiers
from power_cut import cut_power
from test_stages import run_classifier, run_evaluate, run_references
from test_training import run as train_one
from triptych.settings.params import parse

STRIDE = 9  # disk operations between two cuts
TRAINED = ("vae-20d", "gan-mnist", "cifar10-jsd-2", "realnvp-mnist")


def _contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and "checkpoints" not in path.parts)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _cut_everywhere(fault: str, before: Path, work: Path, action: Callable[[Path], object]) -> Row:
    """Cut the power after every STRIDE operations of the action, each time on a new copy of the folder `before`."""
    row, operations, was_cut = Row(fault), 0, True
    shutil.copytree(before, work / "undisturbed")
    action(work / "undisturbed")
    expected = _contents(work / "undisturbed")
    while was_cut:
        folder = work / f"cut-{operations}"
        shutil.copytree(before, folder)
        was_cut = cut_power(folder, operations, lambda folder=folder: action(folder))
        action(folder)
        left = [str(path.relative_to(folder)) for path in (*folder.rglob("*.part"), *folder.glob("checkpoints/*@*"))]
        same = _contents(folder) == expected
        row.add(None if same and not left else f"after {operations} operations: {left or 'different bytes'}")
        shutil.rmtree(folder)
        operations += STRIDE
    return row


def torture(place: Path) -> list[Row]:
    """Cut the power in a training of every family, a study, a classifier and an evaluation."""
    data = YAML(typ="safe", pure=True).load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    settings = parse(with_classifiers(shrink(data, TINY)))
    prepared, empty, trained = place / "data", place / "empty", place / "trained"
    empty.mkdir(parents=True)
    with redirect_stderr(StringIO()):
        prepare_all(settings, prepared)
        run_references(settings, prepared, trained, ["mnist"])
        train_one(settings, "vae-20d", prepared, trained / "models")
        shutil.rmtree(trained / "models" / "checkpoints")
    actions: dict[str, tuple[Path, Callable[[Path], object]]] = {
        f"power cut in train@{name}": (empty, lambda folder, name=name: train_one(settings, name, prepared, folder))
        for name in TRAINED
    }
    actions |= {
        "power cut in study@planar-samples": (empty, lambda folder: run_study(settings, "planar-samples", folder)),
        "power cut in classifier@cifar10": (
            empty,
            lambda folder: run_classifier(settings, prepared, folder, "cifar10"),
        ),
        "power cut in evaluate@vae-20d": (trained, lambda folder: run_evaluate(settings, prepared, folder, "vae-20d")),
    }
    if not sys.platform.startswith("linux"):
        say("power cuts are skipped: the simulated disk needs Linux")
        return []
    rows = []
    for number, (fault, (before, action)) in enumerate(actions.items()):
        with redirect_stderr(StringIO()):
            rows.append(_cut_everywhere(fault, before, place / str(number), action))
        say(f"{fault}: {rows[-1].tried} cuts, {len(rows[-1].failed)} failures")
    return rows

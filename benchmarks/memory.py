"""How much memory each kind of stage takes at most, under the `quick` profile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import PROGRESS, Table
from project import Copy

if TYPE_CHECKING:
    from bench import Bench

EXPERIMENTS = ("vae-20d", "gan-mnist", "cifar10-jsd-1", "realnvp-mnist")
STUDIES = ("planar-samples",)
STAGES = (
    ("fetch", "mnist"),
    ("fetch", "binarized_mnist"),
    ("fetch", "cifar10"),
    ("prepare", "mnist"),
    ("prepare", "binarized_mnist"),
    ("prepare", "cifar10"),
    ("classifier", "mnist"),
    ("classifier", "cifar10"),
    ("reference", "mnist"),
    ("reference", "cifar10"),
    *((stage, name) for name in EXPERIMENTS for stage in ("train", "evaluate")),
    *(("study", name) for name in STUDIES),
    ("report",),
)


def some(data: dict[str, Any]) -> None:
    """Of all experiments and studies one a kind."""
    for part, kept in (("experiments", EXPERIMENTS), ("studies", STUDIES)):
        data[part] = {name: entry for name, entry in data[part].items() if name in kept}


def measure(bench: Bench) -> list[Table]:
    """One table, `memory`: the largest resident set of each stage, started cold, and its time."""
    table = Table("memory")
    for number in PROGRESS.rounds("memory", bench.rounds):
        project = Copy(bench.folder / f"memory-{number}", some)
        for words in STAGES:
            PROGRESS.alive(f"memory: {' '.join(words)}")
            done = project.triptych(*words)
            table.add(" ".join(words), "peak", done.mebibytes, "MiB")
            table.add(" ".join(words), "time", done.seconds, "s")
    return [table]

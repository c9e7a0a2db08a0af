"""The peak memory of each stage in the profile `quick`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from harness import PROGRESS, Table
from project_copy import ProjectCopy

if TYPE_CHECKING:
    from harness import Context

EXPERIMENTS = ("vae-20d", "gan-mnist", "cifar10-jsd-1", "realnvp-mnist")
STUDIES = ("planar-samples",)
STAGES = (
    ("fetch", "mnist"),
    ("fetch", "binarized_mnist"),
    ("fetch", "cifar10"),
    ("prepare", "mnist"),
    ("prepare", "binarized_mnist"),
    ("prepare", "cifar10"),
    ("reference", "mnist"),
    ("reference", "cifar10"),
    *((stage, name) for name in EXPERIMENTS for stage in ("train", "evaluate")),
    *(("study", name) for name in STUDIES),
    ("report",),
)


def keep_one_per_kind(data: dict[str, Any]) -> None:
    """Remove all experiments and studies except one per kind."""
    for part, kept in (("experiments", EXPERIMENTS), ("studies", STUDIES)):
        data[part] = {name: entry for name, entry in data[part].items() if name in kept}


def measure(context: Context) -> list[Table]:
    """Fill the table `memory`: the peak memory and the time of each stage in a new process."""
    table = Table("memory")
    for number in PROGRESS.rounds("memory", context.rounds):
        project = ProjectCopy(context.folder / f"memory-{number}", keep_one_per_kind)
        for words in STAGES:
            PROGRESS.say_after_silence(f"memory: {' '.join(words)}")
            done = project.triptych(*words)
            table.add(" ".join(words), "peak", done.mebibytes, "MiB")
            table.add(" ".join(words), "time", done.seconds, "s")
    return [table]

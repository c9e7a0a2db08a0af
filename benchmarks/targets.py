"""Time to target: how long until the quality that the documents ask for, with the tuned experiments."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from data import prepared
from families import rates
from harness import PROGRESS, Table
from plain_loops import critic, flow, vae
from planar import STUDY, our_seconds, reference_loops, their_seconds

if TYPE_CHECKING:
    from bench import Bench

HISTORIES = Path(__file__).parent / "histories"
TRAINED = (  # the target in words and as a number, the baseline, the tuned experiment, the reference, the goal
    ("1.85 bits per dimension", 1.85, "realnvp-mnist", "realnvp-mnist-tuned", flow.Loop, 12.0),
    ("ELBO -102", 102.0, "vae-20d", "vae-20d-tuned", vae.Loop, 5.0),
)
UPDATED = "cifar10-jsd-1"
DEEPEST = "arcs-k32"
COLUMNS = ("Triptych", "reference loop", "times faster")


def epochs_to(target: float, experiment: str) -> float:
    """Epochs until the validation number is down to the target, between two epochs on a straight line."""
    with (HISTORIES / f"{experiment}.csv").open(encoding="utf-8") as file:
        rows = [(float(row["epoch"]), float(next(reversed(row.values())))) for row in csv.DictReader(file)]
    for (epoch, before), (_, after) in pairwise(rows):
        if after <= target:
            return epoch + (before - target) / (before - after)
    raise ValueError(f"{experiment} never came to {target:g}")


def measure(bench: Bench) -> list[Table]:
    """One table, `targets`."""
    table = Table("targets")
    for words, target, baseline, tuned, loop, goal in TRAINED:
        data = prepared(bench.settings, bench.settings.experiment(tuned).dataset, bench.folder)
        images = len(data.images("train"))
        ours_needed, theirs_needed = epochs_to(target, tuned), epochs_to(target, baseline)
        row = f"{words}: {tuned} against {baseline}"
        with rates(bench, tuned, data, "full", loop, baseline) as sides:
            for _ in PROGRESS.rounds(f"targets: {words}", bench.rounds):
                our_rate, their_rate = sides.measure()
                theirs = theirs_needed * images / their_rate
                table.compare(row, COLUMNS, ours_needed * images / our_rate, theirs)
                if sides.mixed:
                    mixed = epochs_to(target, f"{tuned}-bf16") * images / sides.measure_mixed()[0]
                    table.add(row, "bf16", mixed, "s")
                    table.add(row, "bf16, times faster", theirs / mixed)
        in_bf16 = f" (bf16: {epochs_to(target, f'{tuned}-bf16'):.1f})"
        table.say(row, "epochs", f"{ours_needed:.1f}{in_bf16} against {theirs_needed:.1f}")
        table.say(row, "goal", f"{goal:g}")
    _planar(bench, table)
    _update(bench, table)
    return [table]


def _planar(bench: Bench, table: Table) -> None:
    settings = bench.settings.study(STUDY)
    alone = settings.model_copy(update={"densities": ["arcs"], "layers": [32]})
    iterations, row = settings.iterations.full, f"planar flow, {DEEPEST}, {settings.iterations.full:,} iterations"
    torch.set_num_threads(1)
    loop = reference_loops(alone)[DEEPEST]
    for _ in PROGRESS.rounds("targets: planar", bench.rounds):
        table.compare(row, COLUMNS, our_seconds(bench, alone)[0], their_seconds(loop, iterations))
    torch.set_num_threads(bench.settings.runtime.threads)


def _update(bench: Bench, table: Table) -> None:
    experiment = bench.settings.experiment(UPDATED)
    data = prepared(bench.settings, experiment.dataset, bench.folder)
    with rates(bench, UPDATED, data, "quick", critic.Loop, UPDATED) as sides:
        for _ in PROGRESS.rounds("targets: CIFAR-10", bench.rounds):
            times = (sides.images_a_step / rate for rate in sides.measure())
            table.compare(f"one update of {UPDATED}", COLUMNS, *times)

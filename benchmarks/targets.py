"""Time to target: the seconds until the tuned experiments reach the quality that the documents ask for."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from data_sets import prepared
from families import rates
from harness import PROGRESS, Table
from plain_loops import critic, flow, vae
from planar import STUDY, plain_loops_of, plain_seconds, triptych_seconds

if TYPE_CHECKING:
    from harness import Context

HISTORIES = Path(__file__).parent / "histories"
TRAINED = (  # description and value of the target, documented and tuned experiment, plain loop, goal
    ("1.85 bits per dimension", 1.85, "realnvp-mnist", "realnvp-mnist-tuned", flow.Loop, 12.0),
    ("ELBO -102", 102.0, "vae-20d", "vae-20d-tuned", vae.Loop, 5.0),
)
UPDATED = "cifar10-jsd-1"
DEEPEST = "arcs-k32"
COLUMNS = ("Triptych", "plain loop", "times faster")


def epochs_to(target: float, experiment: str) -> float:
    """Return the epochs until the validation number reaches the target, interpolated linearly between two epochs."""
    with (HISTORIES / f"{experiment}.csv").open(encoding="utf-8") as file:
        rows = [(float(row["epoch"]), float(next(reversed(row.values())))) for row in csv.DictReader(file)]
    for (epoch, before), (_, after) in pairwise(rows):
        if after <= target:
            return epoch + (before - target) / (before - after)
    raise ValueError(f"{experiment} did not reach {target:g}")


def measure(context: Context) -> list[Table]:
    """Fill the table `targets`."""
    table = Table("targets")
    for description, target, documented, tuned, loop, goal in TRAINED:
        data = prepared(context.settings, context.settings.experiment(tuned).dataset, context.folder)
        images = len(data.images("train"))
        tuned_epochs, documented_epochs = epochs_to(target, tuned), epochs_to(target, documented)
        row = f"{description}: {tuned} against {documented}"
        with rates(context, tuned, data, "full", loop, documented) as sides:
            for _ in PROGRESS.rounds(f"targets: {description}", context.rounds):
                triptych_rate, plain_rate = sides.measure()
                plain = documented_epochs * images / plain_rate
                table.compare(row, COLUMNS, tuned_epochs * images / triptych_rate, plain)
                if sides.mixed:
                    mixed = epochs_to(target, f"{tuned}-bf16") * images / sides.measure_mixed()[0]
                    table.add(row, "bf16", mixed, "s")
                    table.add(row, "bf16, times faster", plain / mixed)
        in_bf16 = f" (bf16: {epochs_to(target, f'{tuned}-bf16'):.1f})"
        table.set_text(row, "epochs", f"{tuned_epochs:.1f}{in_bf16} against {documented_epochs:.1f}")
        table.set_text(row, "goal", f"{goal:g}")
    _planar(context, table)
    _update(context, table)
    return [table]


def _planar(context: Context, table: Table) -> None:
    settings = context.settings.study(STUDY)
    alone = settings.model_copy(update={"densities": ["arcs"], "layers": [32]})
    iterations, row = settings.iterations.full, f"planar flow, {DEEPEST}, {settings.iterations.full:,} iterations"
    torch.set_num_threads(1)
    loop = plain_loops_of(alone)[DEEPEST]
    for _ in PROGRESS.rounds("targets: planar", context.rounds):
        table.compare(row, COLUMNS, triptych_seconds(context, alone)[0], plain_seconds(loop, iterations))
    torch.set_num_threads(context.settings.runtime.threads)


def _update(context: Context, table: Table) -> None:
    experiment = context.settings.experiment(UPDATED)
    data = prepared(context.settings, experiment.dataset, context.folder)
    with rates(context, UPDATED, data, "quick", critic.Loop, UPDATED) as sides:
        for _ in PROGRESS.rounds("targets: CIFAR-10", context.rounds):
            times = (sides.images_per_step / rate for rate in sides.measure())
            table.compare(f"one update of {UPDATED}", COLUMNS, *times)

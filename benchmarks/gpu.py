"""Training on a CUDA GPU: single steps, recorded steps, recorded steps in bf16, and a plain loop.

This part runs only on request and needs a GPU. All sides run in one process, one after the other.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from data_sets import prepared
from families import with_runtime
from harness import PROGRESS, Table, seconds
from operation_counts import work
from plain_loops import critic, flow, gan, vae
from triptych_loop import TriptychLoop

if TYPE_CHECKING:
    from harness import Context
    from worker_process import Loop

COMPARED = {
    "vae-20d": vae.Loop,
    "vae-100d-tuned": None,
    "realnvp-mnist": flow.Loop,
    "realnvp-mnist-multiscale": None,
    "nice-mnist": flow.Loop,
    "gan-mnist": gan.Loop,
    "cifar10-jsd-1": critic.Loop,
    "cifar10-jsd-2": None,
    "cifar10-jsd-3": critic.Loop,
    "cifar10-w1-2": None,
    "cifar10-w1-3": critic.Loop,
}
TRIPTYCH = {  # the column, and its changes of `runtime`
    "one by one": {"cuda_graphs": False, "precision": "float32"},
    "recorded": {"cuda_graphs": True, "precision": "float32"},
    "recorded, bf16": {"cuda_graphs": True, "precision": "bf16"},
}
PLAIN = "plain loop"
WINDOW = 0.5  # seconds that each side is timed in a round
WARM = 6  # steps of a side before its first round


def measure(context: Context) -> list[Table]:
    """Fill the table `gpu`."""
    if not torch.cuda.is_available():
        raise SystemExit("gpu: this machine has no CUDA GPU")
    table = Table("gpu")
    for name, loop in COMPARED.items():
        experiment = context.settings.experiment(name).at("full")
        data = prepared(context.settings, experiment.dataset, context.folder)
        sides: dict[str, Loop] = {}
        for column, changes in TRIPTYCH.items():
            sides[column] = TriptychLoop(with_runtime(context.settings, device="cuda", **changes), name, data, "full")
        flops = work(sides["recorded"]).flops if name != "realnvp-mnist-multiscale" else None
        if loop:
            sides[PLAIN] = loop(experiment, torch.from_numpy(data.images("train")), "full", "cuda")
        steps = {column: _steps(side) for column, side in sides.items()}
        for _ in PROGRESS.rounds(f"gpu: {name}", context.rounds):
            took = {column: seconds(partial(side.run, steps[column])) / steps[column] for column, side in sides.items()}
            for column, each in took.items():
                table.add(name, column, 1e3 * each, "ms")
            if loop:
                table.add(name, "times faster, recorded", took[PLAIN] / took["recorded"])
                table.add(name, "times faster, bf16", took[PLAIN] / took["recorded, bf16"])
            if flops:
                table.add(name, "products, recorded, bf16", flops / took["recorded, bf16"] / 1e12, "TFLOP/s")
    return [table]


def _steps(side: Loop) -> int:
    """Return the number of steps that take about WINDOW seconds."""
    side.run(WARM)
    return max(1, round(WINDOW * WARM / seconds(partial(side.run, WARM))))

"""Training on a CUDA GPU: steps one by one, recorded, in bf16, and a reference loop with its model on the GPU.

On request, and where there is a GPU. All sides run in one process, in turn.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch

from arithmetic import work
from data import prepared
from families import with_runtime
from harness import PROGRESS, Table, seconds
from ours import Training
from plain_loops import critic, flow, gan, vae

if TYPE_CHECKING:
    from apart import Loop
    from bench import Bench

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
OURS = {  # the column, and what of `runtime` it changes
    "one by one": {"cuda_graphs": False, "precision": "float32"},
    "recorded": {"cuda_graphs": True, "precision": "float32"},
    "recorded, bf16": {"cuda_graphs": True, "precision": "bf16"},
}
REFERENCE = "reference loop"
WINDOW = 0.5  # seconds that a side is timed for in a round
WARM = 6  # steps of a side before its first round


def measure(bench: Bench) -> list[Table]:
    """One table, `gpu`."""
    if not torch.cuda.is_available():
        raise SystemExit("gpu: this machine has no CUDA GPU")
    table = Table("gpu")
    for name, loop in COMPARED.items():
        experiment = bench.settings.experiment(name)
        data = prepared(bench.settings, experiment.dataset, bench.folder)
        sides: dict[str, Loop] = {}
        for column, changes in OURS.items():
            sides[column] = Training(with_runtime(bench.settings, device="cuda", **changes), name, data, "full")
        flops = work(sides["recorded"]).flops if name != "realnvp-mnist-multiscale" else None
        if loop:
            sides[REFERENCE] = loop(experiment, torch.from_numpy(data.images("train")), "full", "cuda")
        steps = {column: _steps(side) for column, side in sides.items()}
        for _ in PROGRESS.rounds(f"gpu: {name}", bench.rounds):
            took = {column: seconds(partial(side.run, steps[column])) / steps[column] for column, side in sides.items()}
            for column, each in took.items():
                table.add(name, column, 1e3 * each, "ms")
            if loop:
                table.add(name, "times faster, recorded", took[REFERENCE] / took["recorded"])
                table.add(name, "times faster, bf16", took[REFERENCE] / took["recorded, bf16"])
            if flops:
                table.add(name, "products, recorded, bf16", flops / took["recorded, bf16"] / 1e12, "TFLOP/s")
    return [table]


def _steps(side: Loop) -> int:
    """How many steps fill the window."""
    side.run(WARM)
    return max(1, round(WINDOW * WARM / seconds(partial(side.run, WARM))))

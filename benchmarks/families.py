"""Samples per second of each family against a reference loop, and against what the machine can do."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Protocol

import torch

from arithmetic import work
from data import prepared
from harness import PROGRESS, Table, seconds, steps_in
from machine import Limits
from ours import Training
from reference import critic, flow, gan, vae

if TYPE_CHECKING:
    from bench import Bench

COMPARED = {  # the reference, the profile whose widths are taken, and the goal
    "vae-20d": (vae.Loop, "full", 4.0),
    "realnvp-mnist": (flow.Loop, "full", 3.5),
    "nice-mnist": (flow.Loop, "full", None),
    "gan-mnist": (gan.Loop, "full", 2.5),
    "cifar10-jsd-1": (critic.Loop, "quick", None),
    "cifar10-w1-3": (critic.Loop, "quick", None),
}
GOALS_OF_MATRIX_RATE = {"realnvp-mnist": 0.7, "nice-mnist": 0.7}
WINDOW = 1.5  # seconds that a side is timed for in a round
WARM = 6  # steps of the reference before each window: its workers have loaded ahead while they waited
BOUND = 0.5  # of its time at least goes to what binds a family


def measure(bench: Bench) -> list[Table]:
    """Two tables: `families` and `limits`."""
    speeds, limits = Table("families"), Table("limits")
    for name, (loop, profile, goal) in COMPARED.items():
        PROGRESS.say(f"families: {name}")
        experiment = bench.settings.experiment(name)
        data = prepared(bench.settings, experiment.dataset, bench.folder)
        ours, needed = Training(bench.settings, name, data, profile), Limits()
        theirs = loop(experiment, torch.from_numpy(data.images("train")), profile)
        rates = Rates(ours, theirs)
        update = work(ours)
        for _ in PROGRESS.rounds(f"families: {name}", bench.rounds):
            our_rate, their_rate = rates.measure()
            speeds.add(name, "Triptych", our_rate, "images/s")
            speeds.add(name, "reference loop", their_rate, "images/s")
            speeds.add(name, "times faster", our_rate / their_rate)
            each = ours.images_a_step / our_rate
            flops, copied = needed.flops(), needed.bytes()
            limits.add(name, "update", 1e3 * each, "ms")
            limits.add(name, "products", update.flops / each / 1e9, "GFLOP/s")
            limits.add(name, "large product", flops / 1e9, "GFLOP/s")
            limits.add(name, "share of the product's rate", update.flops / each / flops)
            limits.add(name, "share of the copy's rate", update.bytes / each / copied)
        speeds.say(name, "goal", f"{goal:g}" if goal else "")
        limits.say(name, "bound by", _binds(limits, name))
        limits.say(name, "goal", f"{GOALS_OF_MATRIX_RATE[name]:.0%}" if name in GOALS_OF_MATRIX_RATE else "")
        del ours, theirs, rates
        gc.collect()  # its workers end before the next are started
    return [speeds, limits]


def _binds(limits: Table, name: str) -> str:
    products, memory = (limits.cell(name, f"share of the {rate}'s rate").median for rate in ("product", "copy"))
    if products + memory < BOUND:
        return "neither: small operations"
    return "products" if products >= memory else "memory"


class Loop(Protocol):
    """Training, a number of updates at a time."""

    images_a_step: int

    def run(self, steps: int) -> object: ...


class Rates:
    """Two loops in turn, each for about as long."""

    def __init__(self, ours: Loop, theirs: Loop) -> None:
        self.ours, self.theirs = ours, theirs
        self.our_steps, self.their_steps = steps_in(WINDOW, ours.run), steps_in(WINDOW, theirs.run)

    def measure(self) -> tuple[float, float]:
        """Images a second of ours and of the other."""
        ours = self.our_steps / seconds(lambda: self.ours.run(self.our_steps))
        self.theirs.run(WARM)
        theirs = self.their_steps / seconds(lambda: self.theirs.run(self.their_steps))
        return ours * self.ours.images_a_step, theirs * self.theirs.images_a_step

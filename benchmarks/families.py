"""Samples per second of each family against a reference loop, and against what the machine can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from apart import Apart
from arithmetic import work
from data import prepared
from harness import PROGRESS, Table
from machine import Limits
from ours import Training
from reference import critic, flow, gan, vae

if TYPE_CHECKING:
    from bench import Bench
    from triptych.config import Settings
    from triptych.data.prepared import PreparedData

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
        update, needed = work(Training(bench.settings, name, data, profile)), Limits()
        with rates(bench, name, data, profile, loop, name) as sides:
            for _ in PROGRESS.rounds(f"families: {name}", bench.rounds):
                our_rate, their_rate = sides.measure()
                pair_rate, one_rate = sides.measure_pair(), sides.measure_one()
                speeds.add(name, "Triptych", our_rate, "images/s")
                speeds.add(name, "two side by side", pair_rate, "images/s")
                speeds.add(name, "reference loop", their_rate, "images/s")
                speeds.add(name, "times faster", our_rate / their_rate)
                speeds.add(name, "two, times faster", pair_rate / their_rate)
                flops, copied = needed.flops(), needed.bytes()
                achieved, moved = (each * our_rate / sides.images_a_step for each in (update.flops, update.bytes))
                limits.add(name, "update", 1e3 * sides.images_a_step / our_rate, "ms")
                limits.add(name, "products", achieved / 1e9, "GFLOP/s")
                limits.add(name, "large product", flops / 1e9, "GFLOP/s")
                limits.add(name, "share of the product's rate", achieved / flops)
                on_one = update.flops * one_rate / sides.images_a_step
                limits.add(name, "on one thread", on_one / needed.flops(threads=1))
                limits.add(name, "share of the copy's rate", moved / copied)
        speeds.say(name, "goal", f"{goal:g}" if goal else "")
        limits.say(name, "bound by", _binds(limits, name))
        limits.say(name, "goal", f"{GOALS_OF_MATRIX_RATE[name]:.0%}" if name in GOALS_OF_MATRIX_RATE else "")
    return [speeds, limits]


def _binds(limits: Table, name: str) -> str:
    products, memory = (limits.cell(name, f"share of the {rate}'s rate").median for rate in ("product", "copy"))
    if products + memory < BOUND:
        return "neither: small operations"
    return "products" if products >= memory else "memory"


@contextmanager
def rates(  # noqa: PLR0917
    bench: Bench, name: str, data: PreparedData, profile: str, loop: type, baseline: str
) -> Iterator[Rates]:
    """An experiment, and a reference loop with the settings of its baseline."""
    settings, threads = bench.settings, bench.settings.runtime.threads
    pixels = torch.from_numpy(data.images("train"))
    with (
        Apart(threads, Training, settings, name, data, profile) as ours,
        Apart(1, Training, with_threads(settings, 1), name, data, profile) as one,
        Apart(1, Training, with_threads(settings, 1), name, data, profile) as another,
        Apart(threads, loop, settings.experiment(baseline), pixels, profile) as theirs,
    ):
        yield Rates(ours, (one, another), theirs)


def with_threads(settings: Settings, threads: int) -> Settings:
    """The same settings at another number of threads."""
    runtime = settings.runtime.model_copy(update={"threads": threads})
    return settings.model_copy(update={"runtime": runtime})


class Rates:
    """Ours on all threads, two of ours side by side on a thread each, and a reference loop, in turn."""

    def __init__(self, ours: Apart, pair: tuple[Apart, Apart], theirs: Apart) -> None:
        self.ours, self.pair, self.theirs, self.images_a_step = ours, pair, theirs, ours.images_a_step
        self.our_steps, self.their_steps = ours.steps_in(WINDOW), theirs.steps_in(WINDOW)
        self.steps_of_one = max(one.steps_in(WINDOW) for one in pair)

    def measure(self) -> tuple[float, float]:
        """Images a second of ours and of the other."""
        ours = self.our_steps / self.ours.seconds(self.our_steps)
        self.theirs.seconds(WARM)
        theirs = self.their_steps / self.theirs.seconds(self.their_steps)
        return ours * self.images_a_step, theirs * self.theirs.images_a_step

    def measure_pair(self) -> float:
        """Images a second of two trainings together."""
        for one in self.pair:
            one.begin(self.steps_of_one)
        return sum(self.steps_of_one / one.ended() for one in self.pair) * self.images_a_step

    def measure_one(self) -> float:
        """Images a second of one training on one thread."""
        return self.steps_of_one / self.pair[0].seconds(self.steps_of_one) * self.images_a_step

"""Samples per second of each family against a reference loop, and against what the machine can do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from apart import Apart
from arithmetic import work
from data import prepared
from harness import PROGRESS, Table
from machine import Limits, multiplies_bf16
from ours import Training
from plain_loops import critic, flow, gan, vae

if TYPE_CHECKING:
    from bench import Bench
    from triptych.data.prepared import PreparedData
    from triptych.settings.params import Settings

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
    """Two tables: `families` and `limits`, and where the hardware has bf16 `mixed`."""
    speeds, limits, mixed = Table("families"), Table("limits"), Table("mixed")
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
                if sides.mixed:
                    mixed_rate, mixed_pair_rate = sides.measure_mixed()
                    mixed.add(name, "bf16", mixed_rate, "images/s")
                    mixed.add(name, "two side by side", mixed_pair_rate, "images/s")
                    mixed.add(name, "times faster than float32", mixed_rate / our_rate)
                    mixed.add(name, "than the reference loop", mixed_rate / their_rate)
                    mixed.add(name, "two, than the reference loop", mixed_pair_rate / their_rate)
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
        if mixed.cells:
            mixed.say(name, "goal", f"{goal:g}" if goal else "")
        limits.say(name, "bound by", _binds(limits, name))
        limits.say(name, "goal", f"{GOALS_OF_MATRIX_RATE[name]:.0%}" if name in GOALS_OF_MATRIX_RATE else "")
    return [speeds, limits, *([mixed] if mixed.cells else [])]


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
    threads = bench.settings.runtime.threads
    single = with_runtime(bench.settings, threads=1)

    def training(settings: Settings) -> Apart:
        return sides.enter_context(Apart(settings.runtime.threads, Training, settings, name, data, profile))

    def pair(settings: Settings) -> tuple[Apart, Apart]:
        return training(settings), training(settings)

    with ExitStack() as sides:
        ours, two, mixed, mixed_two = training(bench.settings), pair(single), None, None
        if multiplies_bf16():
            mixed = training(with_runtime(bench.settings, precision="bf16"))
            mixed_two = pair(with_runtime(single, precision="bf16"))
        pixels = torch.from_numpy(data.images("train"))
        theirs = sides.enter_context(Apart(threads, loop, bench.settings.experiment(baseline), pixels, profile))
        yield Rates(ours, two, theirs, mixed, mixed_two)


def with_runtime(settings: Settings, **changes: object) -> Settings:
    """The same settings, with some of `runtime` changed."""
    return settings.model_copy(update={"runtime": settings.runtime.model_copy(update=changes)})


class Rates:
    """Ours on all threads, two of ours side by side on a thread each, both in bf16, and a reference loop, in turn."""

    def __init__(
        self,
        ours: Apart,
        pair: tuple[Apart, Apart],
        theirs: Apart,
        mixed: Apart | None,
        mixed_pair: tuple[Apart, Apart] | None,
    ) -> None:
        self.ours, self.pair, self.theirs, self.images_a_step = ours, pair, theirs, ours.images_a_step
        self.mixed, self.mixed_pair = mixed, mixed_pair
        self.our_steps, self.their_steps = ours.steps_in(WINDOW), theirs.steps_in(WINDOW)
        self.steps_of_one = max(one.steps_in(WINDOW) for one in pair)
        if mixed and mixed_pair:
            self.mixed_steps = mixed.steps_in(WINDOW)
            self.mixed_steps_of_one = max(one.steps_in(WINDOW) for one in mixed_pair)

    def measure(self) -> tuple[float, float]:
        """Images a second of ours and of the other."""
        ours = self.our_steps / self.ours.seconds(self.our_steps)
        self.theirs.seconds(WARM)
        theirs = self.their_steps / self.theirs.seconds(self.their_steps)
        return ours * self.images_a_step, theirs * self.theirs.images_a_step

    def measure_pair(self) -> float:
        """Images a second of two trainings together."""
        return self._together(self.pair, self.steps_of_one)

    def measure_mixed(self) -> tuple[float, float]:
        """Images a second in bf16: of one training on all threads, and of two together on a thread each."""
        if self.mixed is None or self.mixed_pair is None:
            raise ValueError("this machine has no bf16")
        alone = self.mixed_steps / self.mixed.seconds(self.mixed_steps)
        return alone * self.images_a_step, self._together(self.mixed_pair, self.mixed_steps_of_one)

    def _together(self, pair: tuple[Apart, Apart], steps: int) -> float:
        for one in pair:
            one.begin(steps)
        return sum(steps / one.ended() for one in pair) * self.images_a_step

    def measure_one(self) -> float:
        """Images a second of one training on one thread."""
        return self.steps_of_one / self.pair[0].seconds(self.steps_of_one) * self.images_a_step

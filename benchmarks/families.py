"""Images per second of each family, compared with a plain loop and with the limits of the machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import torch

from data_sets import prepared
from harness import PROGRESS, Table
from machine import Limits, multiplies_bf16
from operation_counts import work
from plain_loops import critic, flow, gan, vae
from triptych_loop import TriptychLoop
from worker_process import WorkerProcess

if TYPE_CHECKING:
    from torch import Tensor

    from harness import Context
    from triptych.data.prepared import PreparedData
    from triptych.settings.params import Settings
    from worker_process import Loop

COMPARED = {  # the plain loop, the profile that gives the widths, and the goal
    "vae-20d": (vae.Loop, "full", 4.0),
    "realnvp-mnist": (flow.Loop, "full", 3.5),
    "nice-mnist": (flow.Loop, "full", None),
    "gan-mnist": (gan.Loop, "full", 2.5),
    "cifar10-jsd-1": (critic.Loop, "quick", None),
    "cifar10-w1-3": (critic.Loop, "quick", None),
}
GOALS_OF_MATRIX_RATE = {"realnvp-mnist": 0.7, "nice-mnist": 0.7}
WINDOW = 1.5  # seconds that each side is timed in a round
WARM = 6  # steps of the plain loop before each window, because its workers loaded batches while they waited
BOUND = 0.5  # share of the time above which products and memory together limit a family


def measure(context: Context) -> list[Table]:
    """Fill the tables `families`, `limits` and, if the processor has bf16 instructions, `mixed`."""
    speeds, limits, mixed = Table("families"), Table("limits"), Table("mixed")
    for name, (loop, profile, goal) in COMPARED.items():
        PROGRESS.say(f"families: {name}")
        experiment = context.settings.experiment(name)
        data = prepared(context.settings, experiment.dataset, context.folder)
        update, needed = work(TriptychLoop(context.settings, name, data, profile)), Limits()
        with rates(context, name, data, profile, loop, name) as sides:
            for _ in PROGRESS.rounds(f"families: {name}", context.rounds):
                triptych_rate, plain_rate = sides.measure()
                pair_rate, one_rate = sides.measure_pair(), sides.measure_one()
                speeds.add(name, "Triptych", triptych_rate, "images/s")
                speeds.add(name, "two side by side", pair_rate, "images/s")
                speeds.add(name, "plain loop", plain_rate, "images/s")
                speeds.add(name, "times faster", triptych_rate / plain_rate)
                speeds.add(name, "two, times faster", pair_rate / plain_rate)
                if sides.mixed:
                    mixed_rate, mixed_pair_rate = sides.measure_mixed()
                    mixed.add(name, "bf16", mixed_rate, "images/s")
                    mixed.add(name, "two side by side", mixed_pair_rate, "images/s")
                    mixed.add(name, "times faster than float32", mixed_rate / triptych_rate)
                    mixed.add(name, "than the plain loop", mixed_rate / plain_rate)
                    mixed.add(name, "two, than the plain loop", mixed_pair_rate / plain_rate)
                flops, copied = needed.flops(), needed.bytes()
                achieved, moved = (
                    each * triptych_rate / sides.images_per_step for each in (update.flops, update.bytes)
                )
                limits.add(name, "update", 1e3 * sides.images_per_step / triptych_rate, "ms")
                limits.add(name, "products", achieved / 1e9, "GFLOP/s")
                limits.add(name, "large product", flops / 1e9, "GFLOP/s")
                limits.add(name, "share of the product's rate", achieved / flops)
                on_one = update.flops * one_rate / sides.images_per_step
                limits.add(name, "on one thread", on_one / needed.flops(threads=1))
                limits.add(name, "share of the copy's rate", moved / copied)
        speeds.set_text(name, "goal", f"{goal:g}" if goal else "")
        if mixed.cells:
            mixed.set_text(name, "goal", f"{goal:g}" if goal else "")
        limits.set_text(name, "bound by", _bound(limits, name))
        limits.set_text(name, "goal", f"{GOALS_OF_MATRIX_RATE[name]:.0%}" if name in GOALS_OF_MATRIX_RATE else "")
    return [speeds, limits, *([mixed] if mixed.cells else [])]


def _bound(limits: Table, name: str) -> str:
    products, memory = (limits.cell(name, f"share of the {rate}'s rate").median for rate in ("product", "copy"))
    if products + memory < BOUND:
        return "neither: small operations"
    return "products" if products >= memory else "memory"


@contextmanager
def rates(  # noqa: PLR0917
    context: Context, name: str, data: PreparedData, profile: str, loop: type, plain_experiment: str
) -> Iterator[Rates]:
    """Start the sides: an experiment, and a plain loop with the settings of the experiment `plain_experiment`."""
    threads = context.settings.runtime.threads
    single = with_runtime(context.settings, threads=1)

    def training(settings: Settings) -> WorkerProcess:
        return sides.enter_context(WorkerProcess(settings.runtime.threads, TriptychLoop, settings, name, data, profile))

    def pair(settings: Settings) -> tuple[WorkerProcess, WorkerProcess]:
        return training(settings), training(settings)

    with ExitStack() as sides:
        triptych, two, mixed, mixed_two = training(context.settings), pair(single), None, None
        if multiplies_bf16():
            mixed = training(with_runtime(context.settings, precision="bf16"))
            mixed_two = pair(with_runtime(single, precision="bf16"))
        pixels = torch.from_numpy(data.images("train"))
        arguments = (loop, context.settings, plain_experiment, pixels, profile)
        plain = sides.enter_context(WorkerProcess(threads, plain_loop, *arguments))
        yield Rates(triptych, two, plain, mixed, mixed_two)


def plain_loop(loop: type, settings: Settings, name: str, pixels: Tensor, profile: str) -> Loop:
    """Return a plain loop with the settings of an experiment."""
    return loop(settings.experiment(name).at(profile), pixels, profile)


def with_runtime(settings: Settings, **changes: object) -> Settings:
    """Return the settings with changes in `runtime`."""
    return settings.model_copy(update={"runtime": settings.runtime.model_copy(update=changes)})


class Rates:
    """The sides of a comparison.

    One training on all threads, two trainings at the same time with one thread each, both again in bf16, and a plain
    loop on all threads.
    """

    def __init__(
        self,
        triptych: WorkerProcess,
        pair: tuple[WorkerProcess, WorkerProcess],
        plain: WorkerProcess,
        mixed: WorkerProcess | None,
        mixed_pair: tuple[WorkerProcess, WorkerProcess] | None,
    ) -> None:
        self.triptych, self.pair, self.plain, self.images_per_step = triptych, pair, plain, triptych.images_per_step
        self.mixed, self.mixed_pair = mixed, mixed_pair
        self.triptych_steps, self.plain_steps = triptych.steps_in(WINDOW), plain.steps_in(WINDOW)
        self.steps_of_one = max(one.steps_in(WINDOW) for one in pair)
        if mixed and mixed_pair:
            self.mixed_steps = mixed.steps_in(WINDOW)
            self.mixed_steps_of_one = max(one.steps_in(WINDOW) for one in mixed_pair)

    def measure(self) -> tuple[float, float]:
        """Return images per second of Triptych and of the plain loop."""
        triptych = self.triptych_steps / self.triptych.seconds(self.triptych_steps)
        self.plain.seconds(WARM)
        plain = self.plain_steps / self.plain.seconds(self.plain_steps)
        return triptych * self.images_per_step, plain * self.plain.images_per_step

    def measure_pair(self) -> float:
        """Return images per second of two trainings together."""
        return self._together(self.pair, self.steps_of_one)

    def measure_mixed(self) -> tuple[float, float]:
        """Return images per second in bf16: of one training on all threads, and of two with one thread each."""
        if self.mixed is None or self.mixed_pair is None:
            raise ValueError("this processor has no bf16 instructions")
        alone = self.mixed_steps / self.mixed.seconds(self.mixed_steps)
        return alone * self.images_per_step, self._together(self.mixed_pair, self.mixed_steps_of_one)

    def _together(self, pair: tuple[WorkerProcess, WorkerProcess], steps: int) -> float:
        for one in pair:
            one.begin(steps)
        return sum(steps / one.ended() for one in pair) * self.images_per_step

    def measure_one(self) -> float:
        """Return images per second of one training on one thread."""
        return self.steps_of_one / self.pair[0].seconds(self.steps_of_one) * self.images_per_step

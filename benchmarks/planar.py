"""A study of six planar flows, compared with six plain loops one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness import PROGRESS, Table, seconds
from plain_loops.planar import Loop
from triptych.stages.run_inputs import STUDY_ARITHMETIC
from triptych.studies.planar.training import build, configurations, data_set
from triptych.training.reproducible import deterministic

if TYPE_CHECKING:
    from harness import Context
    from triptych.studies.planar.settings import Settings

STUDY, GOAL = "planar-samples", 30.0
CHUNK = 100  # iterations at a time, as the stage trains 20,000 of them
CHUNKS = 4  # that Triptych is timed for in a round
PLAIN_ITERATIONS = 20  # that each plain loop is timed for in a round


def measure(context: Context) -> list[Table]:
    """Fill the table `planar`: whole runs of 20,000 iterations."""
    table, settings = Table("planar"), context.settings.study(STUDY)
    iterations = settings.iterations.full
    torch.set_num_threads(1)  # for both sides: 128 points are too few for a second thread
    loops = plain_loops_of(settings)
    row = f"{STUDY}, six flows, {iterations:,} iterations"
    for _ in PROGRESS.rounds("planar", context.rounds):
        triptych, start = triptych_seconds(context, settings)
        plain = {name: plain_seconds(loop, iterations) for name, loop in loops.items()}
        table.add(row, "Triptych", triptych, "s")
        table.add(row, "of which start", start, "s")
        table.add(row, "plain loops", sum(plain.values()), "s")
        table.add(row, "times faster", sum(plain.values()) / triptych)
    table.set_text(row, "goal", f"{GOAL:g}")
    torch.set_num_threads(context.settings.runtime.threads)
    return [table]


def plain_loops_of(settings: Settings) -> dict[str, Loop]:
    """Return a warmed-up loop for each configuration, on the same samples."""
    samples = {density: data_set(settings, density) for density in settings.densities}
    loops = {name: Loop(settings, k, samples[density]) for name, (density, k) in configurations(settings).items()}
    for loop in loops.values():
        loop.run(2)
    return loops


def plain_seconds(loop: Loop, iterations: int) -> float:
    """Return the seconds of a whole run of one plain loop."""
    return iterations / PLAIN_ITERATIONS * seconds(lambda: loop.run(PLAIN_ITERATIONS))


def triptych_seconds(context: Context, settings: Settings) -> tuple[float, float]:
    """Return the seconds of a whole run of the study, and of its start (the build, and the slow first chunk)."""
    iterations, made = settings.iterations.full, []
    with deterministic(context.settings.runtime.model_copy(update=STUDY_ARITHMETIC)):

        def begin() -> None:
            made.append(build(settings, iterations))
            made[0].advance(range(CHUNK))

        def train() -> None:
            for chunk in range(1, CHUNKS + 1):
                made[0].advance(range(chunk * CHUNK, (chunk + 1) * CHUNK))

        beginning = seconds(begin)
        chunk = seconds(train) / CHUNKS
    return beginning + (iterations / CHUNK - 1) * chunk, beginning - chunk

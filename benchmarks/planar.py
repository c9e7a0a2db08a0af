"""A study of six planar flows against six flows trained one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from harness import PROGRESS, Table, seconds
from plain_loops.planar import Loop
from triptych.stages.run_inputs import STUDY_ARITHMETIC
from triptych.studies.planar.training import build, configurations, data_set
from triptych.training.reproducible import deterministic

if TYPE_CHECKING:
    from bench import Bench
    from triptych.studies.planar.settings import Settings

STUDY, GOAL = "planar-samples", 30.0
CHUNK = 100  # iterations at a time, as the stage trains 20,000 of them
TIMED = 4  # chunks of ours, timed in a round
THEIRS = 20  # iterations of each reference flow, timed in a round


def measure(bench: Bench) -> list[Table]:
    """One table, `planar`: whole runs of the documents' 20,000 iterations."""
    table, settings = Table("planar"), bench.settings.study(STUDY)
    iterations = settings.iterations.full
    torch.set_num_threads(1)  # both sides: on 128 points a second thread would only wait
    loops = reference_loops(settings)
    row = f"{STUDY}, six flows, {iterations:,} iterations"
    for _ in PROGRESS.rounds("planar", bench.rounds):
        ours, start = our_seconds(bench, settings)
        theirs = {name: their_seconds(loop, iterations) for name, loop in loops.items()}
        table.add(row, "Triptych", ours, "s")
        table.add(row, "of which start", start, "s")
        table.add(row, "reference loops", sum(theirs.values()), "s")
        table.add(row, "times faster", sum(theirs.values()) / ours)
    table.say(row, "goal", f"{GOAL:g}")
    torch.set_num_threads(bench.settings.runtime.threads)
    return [table]


def reference_loops(settings: Settings) -> dict[str, Loop]:
    """A warm loop for each configuration, on the same data set."""
    samples = {density: data_set(settings, density) for density in settings.densities}
    loops = {name: Loop(settings, k, samples[density]) for name, (density, k) in configurations(settings).items()}
    for loop in loops.values():
        loop.run(2)
    return loops


def their_seconds(loop: Loop, iterations: int) -> float:
    """Of a whole run of one flow."""
    return iterations / THEIRS * seconds(lambda: loop.run(THEIRS))


def our_seconds(bench: Bench, settings: Settings) -> tuple[float, float]:
    """Of a whole run of the study, and of its start alone: building it, and what its first chunk takes more."""
    iterations, made = settings.iterations.full, []
    with deterministic(bench.settings.runtime.model_copy(update=STUDY_ARITHMETIC)):

        def begin() -> None:
            made.append(build(settings, iterations))
            made[0].advance(range(CHUNK))

        def train() -> None:
            for chunk in range(1, TIMED + 1):
                made[0].advance(range(chunk * CHUNK, (chunk + 1) * CHUNK))

        beginning = seconds(begin)
        chunk = seconds(train) / TIMED
    return beginning + (iterations / CHUNK - 1) * chunk, beginning - chunk

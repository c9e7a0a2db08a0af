"""Measure the start of each stage: in its own process (cold), and in a fork of `triptych repro`'s server (warm)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import PROGRESS, Table
from project import tiny
from triptych.runner import fork_server

if TYPE_CHECKING:
    from bench import Bench

STAGES = (  # command, its item, stage in the journal, item in the journal
    ("fetch", "mnist", "fetch", "mnist"),
    ("prepare", "mnist", "prepare", "mnist"),
    ("classifier", "mnist", "classifier", "classifier-mnist"),
    ("reference", "mnist", "reference", "mnist"),
    ("train", "vae-20d", "train", "vae-20d"),
    ("evaluate", "vae-20d", "evaluate", "vae-20d"),
    ("study", "planar-samples", "study", "planar-samples"),
    ("report", None, "report", "all"),
)
GOAL = "start under 5 s"


def measure(bench: Bench) -> list[Table]:
    """Return one table, `starts`: the seconds of each command, and of its start, which the journal does not count."""
    table = Table("starts")
    project = tiny(bench.folder / "starts")
    PROGRESS.say("pipeline: a tiny project, all stages")
    project.triptych("repro")
    with fork_server.running(project.environment) as variables:
        project.triptych("prepare", "mnist", **variables)  # returns when the server has imported everything
        for _ in PROGRESS.rounds("pipeline: starts", bench.rounds):
            for command, item, stage, entry in STAGES:
                words = (command, item) if item else (command,)
                for kind, added in (("cold", {}), ("warm", variables)):
                    PROGRESS.alive(f"pipeline: {command}, {kind}")
                    whole = project.triptych(*words, **added).seconds
                    table.add(command, f"start, {kind}", whole - project.recorded(stage, entry), "s")
                    table.add(command, f"whole command, {kind}", whole, "s")
    for command, *_ in STAGES:
        table.say(command, "goal", GOAL)
    return [table]

"""The time to start each stage: in a new process, and in a fork of the fork server of `triptych repro`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness import PROGRESS, Table
from project_copy import tiny_project
from triptych.cli.main import NEVER_FORKED
from triptych.runner import fork_server

if TYPE_CHECKING:
    from harness import Context

STAGES = (  # command and item, stage and item in the journal
    ("fetch", "mnist", "fetch", "mnist"),
    ("prepare", "mnist", "prepare", "mnist"),
    ("reference", "mnist", "reference", "mnist"),
    ("train", "vae-20d", "train", "vae-20d"),
    ("evaluate", "vae-20d", "evaluate", "vae-20d"),
    ("study", "planar-samples", "study", "planar-samples"),
    ("report", None, "report", "all"),
)
GOAL = "start under 5 s"


def measure(context: Context) -> list[Table]:
    """Fill the table `starts`: seconds of each command, in all and without the work that the journal records."""
    table = Table("starts")
    project = tiny_project(context.folder / "starts")
    PROGRESS.say("stage starts: run a tiny project")
    project.triptych("repro")
    with fork_server.running(project.environment) as variables:
        project.triptych("check", **variables)  # from now on, the fork server has imported everything
        for _ in PROGRESS.rounds("stage starts", context.rounds):
            for command, item, stage, entry in STAGES:
                words = (command, item) if item else (command,)
                for kind, added in (("cold", {}), ("warm", variables))[: 1 if command in NEVER_FORKED else 2]:
                    PROGRESS.say_after_silence(f"stage starts: {command}, {kind}")
                    whole = project.triptych(*words, **added).seconds
                    table.add(command, f"start, {kind}", whole - project.recorded(stage, entry), "s")
                    table.add(command, f"whole command, {kind}", whole, "s")
    for command, *_ in STAGES:
        table.set_text(command, "goal", GOAL)
    return [table]

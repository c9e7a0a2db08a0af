"""The commands `submit` and `collect` for a SLURM cluster. They import heavy modules only when they run."""

from __future__ import annotations

import re
from pathlib import Path

import click

from triptych.cli.common import MOST_SEEDS, open_project, sync_records

LONG_OPTION = re.compile("[a-z][a-z-]+")
OWN_OPTIONS = {"time": "use --hours", "cpus-per-task": "use --cores", "array": "use --at-a-time"} | dict.fromkeys(
    (
        "dependency",
        "error",
        "job-name",
        "kill-on-invalid-dep",
        "no-requeue",
        "open-mode",
        "output",
        "requeue",
        "signal",
    ),
    "Triptych sets it",
)
"""Options of sbatch that the command sets itself, and what to do instead."""


def _slurm_options(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> dict[str, str | bool]:
    """Split NAME=VALUE; a NAME alone is an option without a value."""
    options: dict[str, str | bool] = {}
    for word in words:
        name, sign, value = word.partition("=")
        name = name.replace("_", "-")
        if not LONG_OPTION.fullmatch(name) or (sign and not value):
            raise click.BadParameter(f"{word}: write NAME=VALUE or NAME, such as partition=gpu or exclusive")
        if name in OWN_OPTIONS:
            raise click.BadParameter(f"{name}: {OWN_OPTIONS[name]}")
        options[name] = value if sign else True
    return options


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--seeds",
    type=click.IntRange(1, MOST_SEEDS),
    help="first set in params.yaml how many seeds each experiment, or each of NAMES, has",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0.0, min_open=True),
    default=24.0,
    show_default=True,
    help="time limit of a job; a job that needs more is queued again and continues",
)
@click.option(
    "--cores", type=click.IntRange(min=1), help="CPU cores of a job  [default: runtime.threads times runtime.processes]"
)
@click.option(
    "--at-a-time", type=click.IntRange(min=1), default=256, show_default=True, help="number of jobs that run at a time"
)
@click.option(
    "--slurm",
    multiple=True,
    metavar="NAME[=VALUE]",
    callback=_slurm_options,
    help="another option of sbatch, such as partition=gpu, gpus-per-node=1 or exclusive",
)
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="folder on each node for the checkouts of the jobs  [default: $SLURM_TMPDIR, or the temporary folder]",
)
def submit(
    names: tuple[str, ...],
    *,
    seeds: int | None,
    hours: float,
    cores: int | None,
    at_a_time: int,
    slurm: dict[str, str | bool],
    scratch: Path | None,
) -> None:
    """Submit experiments and studies NAMES with their seeds, or all, that are not up to date: one SLURM job each."""
    from triptych.cluster.slurm_options import SlurmOptions
    from triptych.cluster.submission import SHARED
    from triptych.cluster.submit import refuse_without_slurm
    from triptych.cluster.submit import submit as run

    refuse_without_slurm()
    project, settings = open_project()
    if seeds:
        from triptych.settings.seeds import set_seeds

        groups = settings.seed_groups()
        set_seeds(project.params, seeds, names)
        names = tuple(first for first, group in groups.items() if not set(names).isdisjoint(group))
        project, settings = open_project()
    runtime = settings.runtime
    options = SlurmOptions(max(1, round(hours * 60)), cores or runtime.threads * runtime.processes, at_a_time, slurm)
    groups = settings.seed_groups()
    with_further_seeds = [each for name in names for each in groups.get(name, [name])]
    submission = run(project, settings, with_further_seeds, options, scratch and scratch.absolute())
    if SHARED in submission.jobs:
        click.echo(f"job {submission.jobs[SHARED]}: stages that the other jobs need; they start after it")
    for name, number in submission.jobs.items():
        if name != SHARED:
            click.echo(f"job {number}: {name}")
    click.echo("run `triptych collect` to get finished results")


@click.command()
def collect() -> None:
    """Take the finished results of `triptych submit` into the project, and show the state of the other jobs."""
    from triptych.cluster.collect import collect as run

    project, settings = open_project()
    found = run(project, settings)
    for state in sorted(set(found.states.values())):
        click.echo(f"{state}: {', '.join(name for name in found.states if found.states[name] == state)}")
    click.echo(f"collected: {', '.join(found.collected) or 'nothing yet'}")
    if found.missing:
        click.echo(f"not up to date: {', '.join(found.missing)}")
    click.echo(sync_records(project, settings))


COMMANDS = (submit, collect)

"""The commands for many machines: `submit` and `collect`. Nothing heavy is imported here."""

from __future__ import annotations

from pathlib import Path

import click

from triptych.cli.stages import open_project


def _options(_: click.Context, __: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    pairs = [word.partition("=") for word in words]
    for name, sign, value in pairs:
        if not (name and sign and value) or name.startswith("-"):
            raise click.BadParameter(f"{name}: write NAME=VALUE, such as partition=gpu")
        if name == "time":
            raise click.BadParameter("time: say --hours")
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("names", nargs=-1)
@click.option(
    "--seeds",
    type=click.IntRange(min=1),
    help="first give each of NAMES, or each of all, this many seeds in params.yaml",
)
@click.option(
    "--hours",
    type=click.FloatRange(min=0.0, min_open=True),
    default=24.0,
    show_default=True,
    help="a job's time; one that needs more goes on in the queue",
)
@click.option("--cores", type=click.IntRange(min=1), help="of a job  [default: runtime.threads]")
@click.option(
    "--at-a-time", type=click.IntRange(min=1), default=256, show_default=True, help="jobs that run side by side"
)
@click.option(
    "--slurm",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_options,
    help="any other option of sbatch, such as partition=gpu or gpus-per-node=1",
)
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False),
    help="where the jobs work, on each node  [default: $SLURM_TMPDIR, or its folder for temporary files]",
)
def submit(
    names: tuple[str, ...],
    *,
    seeds: int | None,
    hours: float,
    cores: int | None,
    at_a_time: int,
    slurm: dict[str, str],
    scratch: Path | None,
) -> None:
    """Send the experiments and studies NAMES, or all, that are not up to date to SLURM, with all their seeds."""
    from triptych.cluster.submission import SHARED
    from triptych.cluster.submit import Wish, refuse_without_slurm
    from triptych.cluster.submit import submit as run

    refuse_without_slurm()
    if seeds:
        from triptych.core.project import Project
        from triptych.settings.seeds import set_seeds

        set_seeds(Project.find(Path.cwd()).params, seeds, names)
    project, settings = open_project()
    wish = Wish(max(1, round(hours * 60)), cores or settings.runtime.threads, at_a_time, slurm)
    done = run(project, settings, names, wish, scratch)
    jobs = {name: number for name, number in done.jobs.items() if name != SHARED}
    if SHARED in done.jobs:
        click.echo(f"job {done.jobs[SHARED]} makes what all share; after it:")
    for name, number in jobs.items():
        click.echo(f"job {number}: {name}")
    click.echo("`triptych collect` brings home what is ready")


@click.command()
def collect() -> None:
    """Bring home what the jobs of `triptych submit` have made, and say where the rest is; nothing is run here."""
    from triptych.cluster.collect import collect as run
    from triptych.records.mlflow.sync import sync

    project, settings = open_project()
    found = run(project, settings)
    total, rebuilt = sync(project, settings)
    for state in sorted(set(found.elsewhere.values())):
        click.echo(f"{state}: {', '.join(name for name in found.elsewhere if found.elsewhere[name] == state)}")
    click.echo(f"home: {', '.join(found.home) or 'nothing yet'}")
    if found.missing:
        click.echo(f"not up to date here: {', '.join(found.missing)}")
    click.echo(f"MLflow shows {total} runs, {rebuilt} of them rebuilt just now")


COMMANDS = (submit, collect)

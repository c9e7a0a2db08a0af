"""The command line: `triptych` with all its commands.

This module imports nothing heavy; each command imports the modules that it uses.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

import click

from triptych.cli.add_data import add_data
from triptych.cli.cluster import COMMANDS
from triptych.cli.common import MOST_SEEDS, open_project, sync_records
from triptych.cli.errors import INTERRUPTED, errors_in_one_sentence
from triptych.cli.help import Commands
from triptych.cli.score import score
from triptych.cli.stages import STAGES
from triptych.core.errors import TriptychError
from triptych.core.process_ids import STAGE_VARIABLE, end_with_parent
from triptych.core.progress import heartbeat
from triptych.repository.project import Project
from triptych.runner import fork_server

# Idle OpenMP threads spin for some microseconds, then sleep. If they never sleep, a shared machine is up to 25 times
# slower; if they always sleep, an idle machine is half as fast.
SPIN_VARIABLE, SPIN_COUNT = "GOMP_SPINCOUNT", "10000"
# The first three start programs that belong to the user's terminal; the others need neither PyTorch nor MLflow.
NEVER_FORKED = ("repro", "ui", fork_server.COMMAND, "fetch", "prepare")
MOST_SAMPLES = 100_000  # in one file: they are in memory together
SHOWS_DVC_OUTPUT = re.compile(r"--dry|--quiet|--interactive|-[a-zA-Z]*[qi][a-zA-Z]*")  # of options of `dvc repro`


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="triptych")
def cli() -> None:
    """Train, evaluate and compare VAEs, GANs and normalizing flows.

    `triptych repro` runs the whole pipeline. Its stages are fetch, prepare, classifier, reference, train,
    evaluate, study and report; DVC runs them. All settings are in params.yaml.
    `triptych COMMAND --help` describes a command.
    """


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="number of stages that run at a time  [default: one per GPU; without GPUs, cores / runtime.threads]",
)
@click.option("--verbose", "-v", is_flag=True, help="show the output of DVC and of all stages instead of the display")
def repro(arguments: tuple[str, ...], jobs: int | None, *, verbose: bool) -> None:
    """Bring all results up to date, independent stages in parallel.

    If ARGUMENTS are stages such as evaluate@vae-20d, run only these and the stages that they depend on. With other
    arguments, such as --force, run `dvc repro ARGUMENTS`, one stage at a time.
    """
    from triptych.runner import repro
    from triptych.runner.display import Display

    if jobs and not repro.are_stages(arguments):
        raise click.UsageError("with --jobs, ARGUMENTS can only be stages: with others, DVC runs one stage at a time")
    project = Project.find(Path.cwd())
    sys.stdout.reconfigure(errors="replace")  # the encoding of the terminal may lack a character of the display
    with (
        Display(project.root, verbose=verbose or any(map(SHOWS_DVC_OUTPUT.fullmatch, arguments))) as display,
        repro.only_one(project, display),
    ):
        planning = repro.begin_planning(project, arguments, display)
        from triptych.reports.closing_table import closing_table
        from triptych.reports.page.build import build_page, try_to_build_page
        from triptych.settings.params import load

        settings = load(project.params)
        is_built = not arguments and try_to_build_page(project, settings)  # while DVC plans
        status = repro.repro(project, settings, planning, arguments, display=display, jobs=jobs)
        if not (status or arguments or (is_built and status is None)) and project.summary.exists():
            display.phase("writing report.html")
            build_page(project, settings)
    if not (status or arguments) and project.summary.exists():
        click.echo(f"\n{closing_table(project, settings)}")
    sys.exit(status)


@cli.command()
@click.option("--resolved", metavar="NAME", help="print all settings of this experiment or study")
def check(resolved: str | None) -> None:
    """Check params.yaml without running anything."""
    _, settings = open_project()
    if resolved:
        from ruamel.yaml import YAML

        yaml = YAML(typ="rt")
        yaml.default_flow_style = None  # one line for each innermost mapping or list
        yaml.dump({resolved: settings.entry(resolved).model_dump(mode="json")}, sys.stdout)
        return
    names = ", ".join([*settings.experiments, *settings.studies])
    click.echo(f"params.yaml is in order: profile {settings.profile}, experiments and studies {names}")


@cli.command()
@click.argument("count", type=click.IntRange(1, MOST_SEEDS))
@click.argument("names", nargs=-1)
def seeds(count: int, names: tuple[str, ...]) -> None:
    """Edit params.yaml so that each of the experiments and studies NAMES, or each of all, has COUNT seeds."""
    from triptych.settings.seeds import set_seeds

    added, removed = set_seeds(Project.find(Path.cwd()).params, count, names)
    changes = [f"{verb} {', '.join(found)}" for verb, found in (("added", added), ("removed", removed)) if found]
    click.echo(f"params.yaml: {'; '.join(changes) or 'nothing to change'}")


@cli.command("settings")
def settings_command() -> None:
    """Print all keys of params.yaml with their values and meanings."""
    from triptych.settings.settings_page import settings_page

    click.echo(settings_page(), nl=False)


for command in (*COMMANDS, *STAGES, add_data, score):
    cli.add_command(command)


@cli.command()
def page() -> None:
    """Rebuild report.html from the files of the results."""
    from triptych.reports.page.build import build_page, stale_results

    project, settings = open_project()
    with stale_results():
        path = build_page(project, settings)
    click.echo(f"wrote {path}")


@cli.command()
@click.argument("revisions", nargs=-1)
def plots(revisions: tuple[str, ...]) -> None:
    """Draw the plots of `dvc plots` without a network: of the working tree, or where REVISIONS differ."""
    from triptych.reports.dvc_plots import draw_plots

    project, _ = open_project()
    with heartbeat("DVC collects the plots"):
        result = draw_plots(project, revisions)
    click.echo(result)


@cli.command()
@click.argument("revision", default="HEAD")
@click.argument("other", required=False)
def compare(revision: str, other: str | None) -> None:
    """Print the settings and headline numbers that differ between REVISION and OTHER, or the working tree.

    REVISION is a git revision or a DVC experiment, by default HEAD.
    """
    from triptych.reports.compare import compare as run

    click.echo(run(Project.find(Path.cwd()), revision, other))


@cli.command()
@click.option("--port", default=5000, show_default=True, type=click.IntRange(1, 65535), help="port on this machine")
def ui(port: int) -> None:
    """Open MLflow's web interface with the project's runs; other machines cannot connect to it."""
    from triptych.records.mlflow.ui import serve

    project, _ = open_project()
    serve(project, port)


@cli.command()
def status() -> None:
    """Print the state of each experiment and study: trained or stale, profile, time and headline numbers."""
    from triptych.reports.status import status as run

    click.echo(run(*open_project()))


@cli.command()
def sync() -> None:
    """Rebuild MLflow's records from the files of the results."""
    click.echo(sync_records(*open_project()))


@cli.command()
def verify() -> None:
    """Check the results against dvc.lock, MLflow, report.html and the committed baseline."""
    from triptych.verify.table import verify as run

    project, settings = open_project()
    text, trustworthy = run(project, settings)
    click.echo(text)
    sys.exit(0 if trustworthy else 1)


@cli.command()
@click.argument("experiment")
@click.option("--count", default=64, show_default=True, type=click.IntRange(1, MOST_SAMPLES), help="number of images")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="seed of the random numbers")
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    help=".png: a grid; .npy or .npz (array images): for `triptych score`  [default: samples/EXPERIMENT.png]",
)
def sample(experiment: str, count: int, seed: int, output: Path | None) -> None:
    """Draw images from the trained EXPERIMENT."""
    from triptych.api.projects import model_folder
    from triptych.inference.sampling import write_samples

    project, settings = open_project()
    folder = model_folder(project, settings, experiment)
    place = output or project.root / "samples" / f"{experiment}.png"
    write_samples(folder, count, seed, settings.runtime.device, place)
    click.echo(f"wrote {count} samples of {experiment} to {place}")


@cli.command()
@click.argument("experiments", nargs=-1)
@click.option("--name", help="keep one experiment under another name, such as a variant with other epochs")
def baseline(experiments: tuple[str, ...], name: str | None) -> None:
    """Keep the results of EXPERIMENTS and studies, or of all, in metrics/baseline and plots/baseline for git.

    In profile quick, only the numbers are kept, for `triptych verify`.
    """
    from triptych.settings.consistency import RESERVED
    from triptych.settings.sections import NAME
    from triptych.verify.baseline import keep_baseline, keep_pictures, write_table

    project, settings = open_project()
    for experiment in experiments:
        settings.entry(experiment)
    if name and len(experiments) != 1:
        raise TriptychError("--name is for one experiment: name exactly one")
    if name and (name in RESERVED or not re.fullmatch(NAME, name)):
        raise TriptychError(f"--name is {name!r}: use letters, digits, - and _, but not {', '.join(RESERVED)}")
    chosen = experiments or settings.measured
    groups = settings.seed_groups()
    for experiment in chosen:
        keep_baseline(project, experiment, name or experiment, pictures=experiment in groups)
    if not experiments and settings.profile == "full":
        keep_pictures(project, project.comparison, "comparison")
    write_table(project)
    places = "metrics/baseline and plots/baseline" if settings.profile == "full" else "metrics/baseline/quick"
    click.echo(f"kept {name or ', '.join(chosen)} in {places}")


@cli.command(fork_server.COMMAND, hidden=True)
@click.argument("folder")
@click.argument("descriptor", type=int)
def serve_forks(folder: str, descriptor: int) -> None:
    """Run the fork server of `triptych repro`. In a worker, run the command line of its command."""
    status = fork_server.serve(folder, descriptor)
    try:
        main()
    except SystemExit as end:
        status.append(end.code)
        raise


def main() -> None:
    """Run the command line. A user's error is one sentence and exit status 1."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, SPIN_COUNT)
    try:
        if STAGE_VARIABLE in os.environ:
            end_with_parent(os.getppid())
        with errors_in_one_sentence():
            status = None if set(sys.argv[1:2]) & set(NEVER_FORKED) else fork_server.run_in_fork()
            sys.exit(cli.main(prog_name="triptych", standalone_mode=False) if status is None else status)
    except KeyboardInterrupt:  # a second Ctrl-C while the command handles the first
        sys.exit(INTERRUPTED)

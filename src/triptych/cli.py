"""The command line: the stages as `dvc.yaml` calls them, and what a person needs around them.

Nothing heavy is imported here; each command imports what it uses.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from triptych.errors import TriptychError

if TYPE_CHECKING:
    from triptych.config import Settings
    from triptych.project import Project

# Idle OpenMP threads spin for some microseconds, then sleep: never sleeping costs 25 times on a shared machine, always
# sleeping costs twice on an idle one.
SPIN_VARIABLE, SPIN_COUNT = "GOMP_SPINCOUNT", "10000"


class Commands(click.Group):
    """Shows the commands in the order of the work, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def _open() -> tuple[Project, Settings]:
    from triptych.config import load
    from triptych.project import Project

    project = Project.find(Path.cwd())
    return project, load(project.params)


@contextmanager
def _one_sentence() -> Iterator[None]:
    """Print a user's error as one sentence, and put back what DVC had removed for this stage."""
    try:
        yield
    except TriptychError as error:
        click.echo(f"triptych: {error}", err=True)
        _put_back_earlier_results()
        sys.exit(1)


def _put_back_earlier_results() -> None:
    from triptych.project import Project
    from triptych.restore import restore_outputs

    try:
        restore_outputs(Project.find(Path.cwd()).root)
    except TriptychError as error:
        click.echo(f"triptych: the earlier results are still in DVC's cache ({error})", err=True)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="triptych")
def cli() -> None:
    """Train, judge and compare VAEs, GANs and normalizing flows.

    `triptych repro` runs the whole pipeline; fetch, prepare, classifier, train, evaluate, study and report are its
    stages, which DVC calls one by one. All settings are in params.yaml.
    """


@cli.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def repro(words: tuple[str, ...]) -> None:
    """Bring every result up to date; WORDS go to `dvc repro`."""
    from triptych.page.build import build_page
    from triptych.page.closing import closing_table
    from triptych.pipeline import repro as run

    project, settings = _open()
    status = run(project, settings, words)
    if status:
        sys.exit(status)
    if project.summary.exists():
        if not project.page.exists():
            build_page(project, settings)
        click.echo(closing_table(project, settings))


@cli.command()
def check() -> None:
    """Check params.yaml without running anything."""
    _, settings = _open()
    names = ", ".join([*settings.experiments, *settings.studies])
    click.echo(f"params.yaml is in order: profile {settings.profile}, experiments and studies {names}")


@cli.command()
@click.argument("dataset")
def fetch(dataset: str) -> None:
    """Stage: raw images of DATASET."""
    from triptych.stages.fetch import fetch as run
    from triptych.tracking.tracker import stage

    project, settings = _open()
    chosen, profile = settings.dataset(dataset), settings.active
    with stage(project, "fetch", dataset, project.raw(dataset)) as tracker:
        run(
            dataset=chosen,
            profile=profile,
            embedded=settings.embedded,
            downloads=project.private / "downloads",
            output=project.raw(dataset),
            tracker=tracker,
        )


@cli.command()
@click.argument("dataset")
def prepare(dataset: str) -> None:
    """Stage: splits and evaluation copies of DATASET, binarised or dequantised."""
    from triptych.stages.prepare import prepare as run
    from triptych.tracking.tracker import stage

    project, settings = _open()
    chosen, raw, splits = settings.dataset(dataset), project.raw(dataset), settings.active.splits
    if not raw.exists():
        raise TriptychError(f"{raw} does not exist: run `triptych fetch {dataset}` first")
    with stage(project, "prepare", dataset, project.prepared(dataset) / "manifest.json") as tracker:
        run(name=dataset, dataset=chosen, splits=splits, raw=raw, output=project.prepared(dataset), tracker=tracker)


@cli.command()
@click.argument("dataset")
def classifier(dataset: str) -> None:
    """Stage: the classifier of DATASET, whose features give FID, KID and IS a meaning."""
    from triptych.data.prepared import PreparedData
    from triptych.stages.inputs import classifier_inputs
    from triptych.tracking.tracker import training

    project, settings = _open()
    chosen, fidelity = settings.classifier(dataset), settings.active.fidelity
    data, model, metrics = project.prepared(dataset), project.classifier(dataset), project.classifier_metrics(dataset)
    inputs = classifier_inputs(chosen, settings.profile, fidelity, settings.runtime, PreparedData.open(data))
    from triptych.stages.classifier import train_classifier

    with training(project, "classifier", f"classifier-{dataset}", inputs, model, metrics=metrics) as tracker:
        train_classifier(
            name=dataset,
            settings=chosen,
            profile=settings.profile,
            fidelity=fidelity,
            runtime=settings.runtime,
            data=data,
            output=model,
            metrics=metrics,
            tracker=tracker,
        )


@cli.command()
@click.argument("experiment")
def train(experiment: str) -> None:
    """Stage: train EXPERIMENT; an unfinished run of the same settings is continued."""
    from triptych.code import code_hash, family_modules
    from triptych.data.prepared import PreparedData
    from triptych.stages.inputs import train_inputs
    from triptych.tracking.tracker import training

    project, settings = _open()
    chosen = settings.experiment(experiment)
    data, model = project.prepared(chosen.dataset), project.model(experiment)
    inputs = train_inputs(chosen, settings.profile, settings.runtime, PreparedData.open(data))
    from triptych.stages.train import train as run

    code = code_hash(["triptych.stages.train", *family_modules(chosen.family, evaluation=False)])
    with training(project, "train", experiment, inputs, model) as tracker:
        run(
            name=experiment,
            experiment=chosen,
            profile=settings.profile,
            runtime=settings.runtime,
            data=data,
            output=model,
            checkpoints=project.private / "checkpoints",
            code=code,
            tracker=tracker,
        )


@cli.command()
@click.argument("experiment")
def evaluate(experiment: str) -> None:
    """Stage: measure EXPERIMENT and draw its pictures."""
    from triptych.code import code_hash, family_modules
    from triptych.stages.evaluate import evaluate as run
    from triptych.tracking.tracker import evaluation

    project, settings = _open()
    chosen = settings.experiment(experiment)
    model, metrics, plots = project.model(experiment), project.metrics(experiment), project.plots(experiment)
    code = code_hash(["triptych.stages.evaluate", *family_modules(chosen.family, evaluation=True)])
    with evaluation(project, experiment, model, metrics, plots) as tracker:
        run(
            name=experiment,
            experiment=chosen,
            likelihood=settings.active.likelihood,
            protocol=settings.active.fidelity,
            runtime=settings.runtime,
            judge=settings.classifier(chosen.reference),
            data=project.prepared(chosen.dataset),
            model=model,
            classifier=project.classifier(chosen.reference),
            metrics=metrics,
            plots=plots,
            checkpoints=project.private / "checkpoints",
            code=code,
            tracker=tracker,
        )


@cli.command()
@click.argument("name", metavar="STUDY")
def study(name: str) -> None:
    """Stage: train, measure and draw all configurations of STUDY; an unfinished run is continued."""
    from triptych.code import code_hash
    from triptych.stages.inputs import study_inputs
    from triptych.studies.registry import study_modules
    from triptych.tracking.tracker import training

    project, settings = _open()
    chosen = settings.study(name)
    model, metrics, plots = project.model(name), project.metrics(name), project.plots(name)
    inputs = study_inputs(chosen, settings.profile)
    from triptych.stages.study import study as run

    code = code_hash(["triptych.stages.study", *study_modules(chosen.study)])
    with training(project, "study", name, inputs, model, metrics=metrics, plots=plots) as tracker:
        run(
            name=name,
            settings=chosen,
            profile=settings.profile,
            runtime=settings.runtime,
            output=model,
            metrics=metrics,
            plots=plots,
            checkpoints=project.private / "checkpoints",
            code=code,
            tracker=tracker,
        )


@cli.command()
def report() -> None:
    """Stage: the comparison table and plots; beside them it refreshes report.html."""
    from triptych.figures.grids import SHEET
    from triptych.page.build import build_page
    from triptych.stages.report import report as run
    from triptych.tracking.tracker import stage

    project, settings = _open()
    families = {name: experiment.family for name, experiment in settings.experiments.items()}
    metrics = {name: project.metrics(name) for name in families}
    with stage(project, "report", "all", project.summary) as tracker:
        run(
            families=families,
            metrics=metrics,
            samples={name: project.plots(name) / SHEET for name in families},
            summary=project.summary,
            plots=project.comparison,
            tracker=tracker,
        )
    build_page(project, settings)


@cli.command()
def page() -> None:
    """Rebuild report.html from what is on disk."""
    from triptych.page.build import build_page

    project, settings = _open()
    click.echo(f"wrote {build_page(project, settings)}")


@cli.command()
@click.option(
    "--port",
    default=5000,
    show_default=True,
    type=click.IntRange(1, 65535),
    help="where the interface listens, on this machine alone",
)
def ui(port: int) -> None:
    """Open MLflow's interface on the project's runs."""
    from triptych.tracking.ui import serve

    project, _ = _open()
    sys.exit(serve(project, port))


@cli.command()
def sync() -> None:
    """Rebuild MLflow's records from what is on disk."""
    from triptych.tracking.sync import sync as run

    project, settings = _open()
    total, rebuilt = run(project, settings)
    click.echo(f"MLflow shows {total} runs, {rebuilt} of them rebuilt just now")


@cli.command()
@click.argument("experiment")
@click.option("--count", default=64, show_default=True, type=click.IntRange(min=1), help="images to draw")
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="the same seed draws the same images"
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help=".png for a grid, .npy for an array")
def sample(experiment: str, count: int, seed: int, output: Path | None) -> None:
    """Draw images from the trained EXPERIMENT."""
    from triptych.sampling import write_samples

    project, settings = _open()
    settings.experiment(experiment)
    place = output or Path(f"{experiment}-samples.png")
    write_samples(project.model(experiment), count, seed, settings.runtime.device, place)
    click.echo(f"wrote {count} samples of {experiment} to {place}")


@cli.command()
@click.argument("experiments", nargs=-1)
@click.option("--name", help="keep the one experiment under another name: a variant, such as other epochs")
def reference(experiments: tuple[str, ...], name: str | None) -> None:
    """Keep the results of EXPERIMENTS and studies (or of all) in git: metrics/reference and plots/reference."""
    from triptych.config import NAME, RESERVED
    from triptych.tracking.reference import keep_comparison, keep_reference, write_table

    project, settings = _open()
    for experiment in experiments:
        if experiment not in settings.studies:
            settings.experiment(experiment)
    if name and len(experiments) != 1:
        raise TriptychError("--name is for one experiment: say which")
    if name and (name in RESERVED or not re.fullmatch(NAME, name)):
        raise TriptychError(f"--name is {name!r}: take letters, digits, - and _, and none of {', '.join(RESERVED)}")
    chosen = experiments or (*settings.experiments, *settings.studies)
    for experiment in chosen:
        keep_reference(project, experiment, name or experiment)
    if not experiments:
        keep_comparison(project)
    write_table(project)
    click.echo(f"kept {name or ', '.join(chosen)} in metrics/reference and plots/reference")


def main() -> None:
    """Run the command line; a user's error is one sentence and exit status 1."""
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault(SPIN_VARIABLE, SPIN_COUNT)
    with _one_sentence():
        cli()


if __name__ == "__main__":
    main()

"""The commands that `dvc.yaml` calls: each gives a stage function its settings and its paths in the project.

Each command imports the modules that it uses, so that this module imports quickly. The settings are checked before
torch is imported.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import click

from triptych.cli.common import open_project
from triptych.core.errors import TriptychError
from triptych.core.file_names import MANIFEST

if TYPE_CHECKING:
    from triptych.repository.project import Project
    from triptych.settings.params import Settings


def item(name: str, shown: str | None = None) -> Callable[[Callable], Callable]:
    """Return the argument for the item of a stage: its name, or the name of the DVC stage, such as `train@vae-20d`."""

    def last_part(_: click.Context, __: click.Parameter, value: str) -> str:
        return value.rpartition("@")[2]

    return click.argument(name, metavar=shown, callback=last_part)


@click.command()
@item("dataset")
def fetch(dataset: str) -> None:
    """Stage: fetch the raw images of DATASET."""
    from triptych.records.stage_tracker import stage
    from triptych.stages.fetch import fetch as run

    project, settings = open_project()
    chosen, output = settings.dataset(dataset), project.raw(dataset)
    with stage(project, "fetch", dataset, output) as tracker:
        run(
            dataset=chosen,
            source=project.data / chosen.images if chosen.own else settings.active.source,
            downloads=project.private / "downloads",
            output=output,
            tracker=tracker,
        )


@click.command()
@item("dataset")
def prepare(dataset: str) -> None:
    """Stage: write the splits of DATASET, and its evaluation copies, binarised or dequantised."""
    from triptych.records.stage_tracker import stage
    from triptych.stages.prepare import prepare as run

    project, settings = open_project()
    chosen, raw, output = settings.dataset(dataset), project.raw(dataset), project.prepared(dataset)
    if not raw.exists():
        raise TriptychError(f"{raw} does not exist: run `triptych fetch {dataset}` first")
    with stage(project, "prepare", dataset, output / MANIFEST) as tracker:
        splits = chosen.sizes(settings.profile)
        run(name=dataset, dataset=chosen, splits=splits, raw=raw, output=output, tracker=tracker)


@click.command()
@item("dataset")
def classifier(dataset: str) -> None:
    """Stage: train the classifier of DATASET. An unfinished run continues."""
    from triptych.records.stage_tracker import training

    project, settings = open_project()
    chosen = settings.classifier(dataset)
    data, model, name = project.prepared(dataset), project.classifier(dataset), f"classifier-{dataset}"
    outputs = {"metrics": project.metrics(name), "plots": project.plots(name)}
    from triptych.stages.classifier import train_classifier

    resumable = _resumable(project, settings, "classifier")
    with training(project, "classifier", name) as tracker:
        train_classifier(
            name=dataset, settings=chosen, data=data, output=model, **outputs, **resumable, tracker=tracker
        )


@click.command()
@item("name", "REFERENCE")
def reference(name: str) -> None:
    """Stage: compute the statistics of the real images of REFERENCE, an entry of references or classifiers."""
    from triptych.models.classifier.shipped import shipped_folder
    from triptych.records.stage_tracker import stage
    from triptych.stages.reference import measure_reference

    project, settings = open_project()
    dataset, output = settings.compared_data(name), project.reference(name)
    kind, split, folder, published, named = "classifier", "test", project.classifier(dataset), 0, True
    if chosen := settings.references.get(name):
        split, folder = chosen.split, shipped_folder(chosen.classifier_at(settings.profile))
        published = chosen.published_at(settings.profile)
        named = chosen.names_classes_at(settings.profile, settings.dataset(dataset).images)
        if chosen.extractor_at(settings.profile) == "inception":
            kind = "inception"
    with stage(project, "reference", name, output / MANIFEST) as tracker:
        measure_reference(
            name=name,
            kind=kind,
            split=split,
            protocol=settings.active.fidelity,
            runtime=settings.runtime,
            data=project.prepared(dataset),
            classifier=folder,
            output=output,
            tracker=tracker,
            published_samples=published,
            names_classes=named,
        )


@click.command()
@item("experiment")
def train(experiment: str) -> None:
    """Stage: train EXPERIMENT; an unfinished run of the same settings is continued."""
    from triptych.runner.torchrun import errors_for_launcher, launch

    with errors_for_launcher():
        project, settings = open_project()
        processes = settings.runtime.processes_for(settings.experiment(experiment).model)
        from torch.distributed import is_torchelastic_launched

        if processes > 1 and not is_torchelastic_launched():
            launch(experiment, processes)
        else:
            _train_here(project, settings, experiment)


def _train_here(project: Project, settings: Settings, experiment: str) -> None:
    """Train in this process. If several processes share the training, the process of rank 0 records it."""
    from triptych.core.tracker import Tracker
    from triptych.models.common.registry import FAMILIES
    from triptych.records.stage_tracker import training

    chosen = settings.experiment(experiment)
    data, model = project.prepared(chosen.dataset), project.model(experiment)
    from triptych.stages.train import train as run
    from triptych.training.distributed import process_group, rank

    resumable = _resumable(project, settings, "train", *FAMILIES[chosen.family].training_modules)
    groups = settings.seed_groups()
    with (
        process_group(settings.runtime, settings.runtime.processes_for(chosen.model)),
        nullcontext(Tracker()) if rank() else training(project, "train", experiment, groups) as tracker,
    ):
        run(name=experiment, experiment=chosen, data=data, output=model, **resumable, tracker=tracker)


@click.command()
@item("experiment")
def evaluate(experiment: str) -> None:
    """Stage: measure EXPERIMENT and draw its pictures."""
    from triptych.models.common.registry import FAMILIES
    from triptych.records.stage_tracker import evaluation
    from triptych.repository.code_hash import code_hash

    project, settings = open_project()
    chosen = settings.experiment(experiment)
    from triptych.stages.evaluate import evaluate as run

    with evaluation(project, experiment, settings.seed_groups()) as tracker:
        run(
            name=experiment,
            experiment=chosen,
            likelihood=settings.active.likelihood,
            protocol=settings.active.fidelity,
            runtime=settings.runtime,
            data=project.prepared(chosen.dataset),
            model=project.model(experiment),
            reference=project.reference(chosen.reference),
            metrics=project.metrics(experiment),
            plots=project.plots(experiment),
            checkpoints=project.checkpoints,
            code=code_hash(["triptych.stages.evaluate", *FAMILIES[chosen.family].evaluation_modules]),
            tracker=tracker,
        )


@click.command()
@item("name", "STUDY")
def study(name: str) -> None:
    """Stage: train, measure and draw all configurations of STUDY. An unfinished run continues."""
    from triptych.records.stage_tracker import training
    from triptych.studies.kinds import study_modules

    project, settings = open_project()
    chosen = settings.study(name)
    outputs = {"metrics": project.metrics(name), "plots": project.plots(name)}
    from triptych.stages.study import study as run

    resumable = _resumable(project, settings, "study", *study_modules(chosen.study))
    groups = settings.seed_groups()
    with training(project, "study", name, groups) as tracker:
        run(name=name, settings=chosen, output=project.model(name), **outputs, **resumable, tracker=tracker)


def _resumable(project: Project, settings: Settings, stage: str, *modules: str) -> dict[str, Any]:
    """Return the arguments that all stages which train have in common. `modules` are loaded at run time."""
    from triptych.repository.code_hash import code_hash

    code = code_hash([f"triptych.stages.{stage}", *modules])
    return {"profile": settings.profile, "runtime": settings.runtime, "checkpoints": project.checkpoints, "code": code}


@click.command()
def report() -> None:
    """Stage: write the comparison tables and plots, and report.html."""
    from triptych.evaluation.snapshot_scores import SNAPSHOTS
    from triptych.figures.image_grids import SHEET
    from triptych.records.stage_tracker import stage
    from triptych.reports.page.build import build_page
    from triptych.stages.report import report as run

    project, settings = open_project()
    families = {name: experiment.family for name, experiment in settings.experiments.items()}
    with stage(project, "report", "all", project.summary) as tracker:
        run(
            families=families,
            groups=settings.seed_groups(),
            experiments={name: project.results(name) for name in families},
            studies={name: project.results(name) for name in settings.studies},
            samples={name: project.plots(name) / SHEET for name in families},
            snapshots={name: project.plots(name) / SNAPSHOTS for name in families},
            summary=project.summary,
            seeds=project.seed_table,
            plots=project.comparison,
            tracker=tracker,
        )
    build_page(project, settings)


STAGES = (fetch, prepare, classifier, reference, train, evaluate, study, report)

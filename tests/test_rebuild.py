"""MLflow, rebuilt from disk, shows the same as the live records of every experiment, study and classifier."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlparse

import pytest
from matplotlib.figure import Figure
from mlflow import MlflowClient
from mlflow.entities import LoggedModel, Run
from ruamel.yaml import YAML

from test_records import PROCESS_TAGS, database, forget_connections
from triptych.cli import stages
from triptych.core.hashing import sha256_of_file
from triptych.records.headlines import headline_of
from triptych.records.mlflow.store import Store
from triptych.records.mlflow.sync import sync
from triptych.repository.project import Project
from triptych.settings import params as params_file
from triptych.settings.params import load

pytestmark = pytest.mark.slow

SMALL = {
    **{"hidden": 8, "latent": 2, "couplings": 2},
    **{"generator": 8, "discriminator": 8, "width": 4, "channels": 4, "features": 8},
}
CHANGING = re.compile(r"timestamp\+\d+|\+[0-9a-f-]{36}")  # in the names of sheets of samples: times and random ids
IDS = re.compile(r"^(run_id|model_id|model_uuid|utc_time_created):.*$", re.MULTILINE)  # in the file `MLmodel`


def shrink_everything(params: dict[str, Any]) -> dict[str, Any]:
    """Return settings with all experiments and studies, with networks, data and budgets for tests."""
    data = copy.deepcopy(params)
    twice = {"quick": 2, "full": 2}
    for dataset in data["datasets"].values():
        dataset["splits"]["quick"] = {"train": 60, "valid": 30, "test": 60}
    for entry in (*data["experiments"].values(), *data["classifiers"].values()):
        recipe = data["recipes"].get(entry.get("recipe"), {})
        entry |= {"epochs": twice, "batch_size": 20, "model": shrink(recipe.get("model", {}) | entry.get("model", {}))}
        if "epoch_updates" in recipe:
            entry["epoch_updates"] = twice
    for entry in data["studies"].values():
        entry["iterations"] = {"quick": 6, "full": 6}
        if entry["study"] == "planar":
            entry |= {"layers": [1, 2], "batch_size": 16, "evaluation_samples": 50}
        if "samples" in entry:
            entry["samples"] = 100
    data["profiles"]["quick"]["likelihood"] = {"importance_samples": 2, "train_images": 20}
    data["profiles"]["quick"]["fidelity"] |= {"samples": 40, "kid_subsets": 2, "kid_subset_size": 20}
    data["runtime"] |= {"device": "cpu", "threads": 1}
    return data


def shrink(model: dict[str, Any]) -> dict[str, Any]:
    return {key: _shrink(SMALL[key], value) if key in SMALL else value for key, value in model.items()}


def _shrink(size: int, value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shrink(size, found) for key, found in value.items()}
    return [size] * len(value) if isinstance(value, list) else size


class Records(NamedTuple):
    """What MLflow shows of every run, model and experiment: while the stages ran, and rebuilt from disk."""

    project: Project
    live: dict[str, Any]
    rebuilt: dict[str, Any]
    measured: tuple[str, ...]


@pytest.fixture(scope="module")
def records(params: dict, tmp_path_factory: pytest.TempPathFactory) -> Records:
    """Run every stage of every item as `dvc repro` does, then delete the database and rebuild it."""
    project = Project(tmp_path_factory.mktemp("project"))
    with project.params.open("w", encoding="utf-8") as file:
        YAML(typ="safe", pure=True).dump(shrink_everything(params), file)
    settings = load(project.params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(project.root)
        patch.setattr(params_file, "load", lambda _: settings)  # it takes a second, and each stage would load them
        patch.setattr(Figure, "draw", lambda *_: None)  # a blank picture is recorded as any other
        for stage, names in (
            (stages.fetch, settings.datasets),
            (stages.prepare, settings.datasets),
            (stages.classifier, settings.classifiers),
            (stages.reference, settings.references),
            (stages.train, settings.experiments),
            (stages.evaluate, settings.experiments),
            (stages.study, settings.studies),
        ):
            for name in names:
                stage.callback(name)
        live = shown(project)
        forget_connections()
        database(project).unlink()
        sync(project, settings)
        return Records(project, live, shown(project), settings.measured)


def shown(project: Project) -> dict[str, Any]:
    """Return the content of MLflow, except times, process tags and random ids."""
    client = Store(project).client
    content: dict[str, Any] = {}
    for experiment in client.search_experiments():
        view, note = (
            experiment.tags.get(tag, "") for tag in ("mlflow.sharedViewState.triptych", "mlflow.note.content")
        )
        content[f"experiment {experiment.name}"] = [
            re.sub(r"\d{13}", "time", view),
            note.replace(f"#/experiments/{experiment.experiment_id}/", "#/experiments/its-own/"),
        ]
        for run in client.search_runs([experiment.experiment_id]):
            content[f"run {run.info.run_name}"] = {
                "experiment": experiment.name,
                "status": run.info.status,
                "params": run.data.params,
                "tags": tags_of(client, run),
                "metrics": run.data.metrics,
                "points": points_of(client, run),
                "data sets": sorted(str(found.dataset.to_dictionary()) for found in run.inputs.dataset_inputs),
                "artifacts": artifacts(run.info.artifact_uri),
                "models": [model_of(client, found.model_id) for found in run.outputs.model_outputs],
            }
    for model in client.search_registered_models():
        [version] = client.search_model_versions(f"name = '{model.name}'")
        own = client.get_run(version.run_id).info.run_name
        content[f"model {model.name}"] = [model.description, model.tags, version.description, version.tags, own]
    return content


def tags_of(client: MlflowClient, run: Run) -> dict[str, str]:
    tags = {key: value for key, value in run.data.tags.items() if key not in PROCESS_TAGS}
    if parent := tags.get("mlflow.parentRunId"):
        tags["mlflow.parentRunId"] = client.get_run(parent).info.run_name
    return tags


def points_of(client: MlflowClient, run: Run) -> dict[str, list[tuple[int, float]]]:
    history = client.get_metric_history
    return {key: [(p.step, p.value) for p in history(run.info.run_id, key)] for key in sorted(run.data.metrics)}


def artifacts(uri: str) -> dict[str, str]:
    """Return the SHA-256 of each file in the folder of a run or a model, and the text of `MLmodel` without ids."""
    folder, found = Path(unquote(urlparse(uri).path)), {}
    for path in (path for path in folder.rglob("*") if path.is_file()):
        content = IDS.sub("", path.read_text()) if path.name == "MLmodel" else sha256_of_file(path)
        found[CHANGING.sub("", str(path.relative_to(folder)))] = content
    return found


def model_of(client: MlflowClient, model_id: str) -> list[Any]:
    model: LoggedModel = client.get_logged_model(model_id)
    numbers = {metric.key: (metric.step, metric.value) for metric in model.metrics or ()}
    return [model.name, model.tags, model.status, numbers, artifacts(model.artifact_location)]


def test_every_item_is_recorded(records: Records) -> None:
    """Every experiment, study and classifier has a run, and every experiment has a model with pictures and numbers."""
    for name in records.measured:
        run = records.live[f"run {name}"]
        assert run["status"] == "FINISHED"
        assert run["tags"]["result"] != "not evaluated"
    experiments = [name.removeprefix("model ") for name in records.live if name.startswith("model ")]
    assert {*experiments} <= {*records.measured}
    for name in experiments:
        run = records.live[f"run {name}"]
        [[_, _, _, numbers, files]] = run["models"]
        assert "test." in " ".join(numbers)
        assert {"MLmodel", "data/weights.safetensors"} <= {*files}
        assert any(path.startswith("figures/") for path in run["artifacts"])
        assert any(path.startswith("images/samples") for path in run["artifacts"])


def test_a_rebuilt_database_shows_the_same(records: Records) -> None:
    assert records.rebuilt.keys() == records.live.keys()
    for name, expected in records.live.items():
        assert records.rebuilt[name] == expected, name


def test_no_two_numbers_share_a_name_and_a_step(records: Records) -> None:
    """MLflow would show the later one as the latest; after a rebuild, which gives both one time, the larger one."""
    for content in (records.live, records.rebuilt):
        for name in (name for name in content if name.startswith("run ")):
            for key, points in content[name]["points"].items():
                steps = Counter(step for step, _ in points)
                assert max(steps.values()) == 1, (name, key)


def test_a_rebuild_leaves_only_the_files_of_known_runs_and_models(records: Records) -> None:
    client = Store(records.project).client
    experiments = client.search_experiments()
    runs = client.search_runs([experiment.experiment_id for experiment in experiments])
    models = {output.model_id for run in runs for output in run.outputs.model_outputs}
    places = [records.project.root / "mlartifacts" / experiment.name for experiment in experiments]
    folders = {path.name for place in places for path in (*place.glob("*"), *place.glob("models/*"))} - {"models"}
    assert models < folders <= models | {run.info.run_id for run in runs}


def test_the_charts_of_every_kind_show_existing_metrics(records: Records) -> None:
    """Each metric of a headline is shown by a run of its kind, or else by the run of a configuration."""
    runs = [run for name, run in records.rebuilt.items() if name.startswith("run ")]
    for family in {run["experiment"] for run in runs}:
        found = {key for run in runs if run["experiment"] == family for key in run["metrics"]}
        headline = headline_of(family)
        assert headline.metric in found
        assert {*headline.curves} & found

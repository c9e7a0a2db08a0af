"""Records of runs: a failure of MLflow costs one warning, and `triptych sync` rebuilds what MLflow lacks."""

from __future__ import annotations

import base64
import copy
import json
import os
import platform
import resource
import shutil
import signal
import socket
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore as Models
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore as Runs
from mlflow.tracking._model_registry.registry import ModelRegistryStoreRegistry
from mlflow.tracking._tracking_service.utils import _tracking_store_registry

from conftest import shrink
from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file
from triptych.core.json_files import read_json, write_json
from triptych.core.tracker import Console
from triptych.models.common.registry import FAMILIES
from triptych.records import run_folder, stage_tracker
from triptych.records.headlines import headline_of
from triptych.records.journal import Execution, look_up
from triptych.records.mlflow import saved_view, ui
from triptych.records.mlflow import store as mlflow_store
from triptych.records.mlflow.descriptions import experiment_note
from triptych.records.mlflow.store import URI_VARIABLE, Store
from triptych.records.mlflow.sync import sync
from triptych.records.mlflow.ui import experiment_lines
from triptych.records.run_folder import all_run_folders
from triptych.records.stage_tracker import RunTracker, evaluation, training
from triptych.repository.project import Project
from triptych.settings.params import Settings, parse
from triptych.stages.train import train
from triptych.studies.kinds import STUDIES
from triptych.training.weights import load_tensors, save_tensors
from triptych.verify.check_views import check_mlflow
from triptych.verify.finding import Verdict

NAME = "vae-20d"
PROCESSES = 3  # `make torture` uses eight


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(shrink(copy.deepcopy(params)))


@pytest.fixture(scope="module")
def world(settings: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Return a project with prepared data, an empty database, and the model of an undisturbed training run."""
    folder = tmp_path_factory.mktemp("project")
    (folder / "params.yaml").touch()
    shutil.copytree(prepared / "binarized_mnist", folder / "data" / "prepared" / "binarized_mnist")
    project = Project(folder)
    run(project, settings)
    forget_connections()
    database(project).unlink()
    shutil.rmtree(folder / "mlartifacts")
    assert Store(project).client
    return project


@pytest.fixture
def project(world: Project, tmp_path: Path) -> Project:
    shutil.copytree(world.root, tmp_path / "project")
    copied = Project(tmp_path / "project")
    shutil.rmtree(copied.private)
    shutil.rmtree(copied.model(NAME))
    return copied


class FaultInjector(Console):
    """Pass every call on to the real tracker, and call `fault` in the middle of the run."""

    def __init__(self, real: RunTracker, fault: Callable[[], None]) -> None:
        self.real, self.fault = real, fault
        self.start = real.start
        real.live.flush_seconds = 0.0

    def log(self, row: dict[str, float]) -> None:
        if row["epoch"] == 2:
            self.fault()
        self.real.log(row)


def run(project: Project, settings: Settings, fault: Callable[[], None] = lambda: None, **changes: object) -> None:
    """Train the experiment with changed settings; call `fault` in the middle."""
    experiment = settings.experiment(NAME).model_copy(update=changes)
    data = project.prepared(experiment.dataset)
    with training(project, "train", NAME) as tracker:
        train(
            name=NAME,
            experiment=experiment,
            profile="quick",
            runtime=settings.runtime,
            data=data,
            output=project.model(NAME),
            checkpoints=project.private / "checkpoints",
            code="code",
            tracker=FaultInjector(tracker, fault),
        )


def model_bytes(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(project.model(NAME).iterdir())}


def database(project: Project) -> Path:
    return project.root / "mlflow.db"


def forget_connections() -> None:
    """Close all connections to databases, so that the next call connects anew, as in another process."""
    for stores, registry in ((Runs, _tracking_store_registry), (Models, ModelRegistryStoreRegistry)):
        for engine in stores._engine_map.values():
            engine.dispose()
        stores._engine_map.clear()
        registry._get_store_with_resolved_uri.cache_clear()


def assert_complete(project: Project, settings: Settings) -> None:
    """Assert that after `sync` MLflow shows every point exactly once."""
    forget_connections()
    sync(project, settings)
    [finding] = check_mlflow(project, [NAME])
    assert finding.verdict is Verdict.EQUAL, finding
    client = Store(project).client
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    assert [item.info.status for item in runs] == ["FINISHED"]


def assert_one_warning(captured: str, words: str) -> None:
    warnings = [line for line in captured.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1, captured
    assert words in warnings[0]
    assert "Traceback" not in captured


def assert_survived(world: Project, project: Project, settings: Settings, capsys: pytest.CaptureFixture) -> None:
    """Assert that the run gave the undisturbed weights and one warning, and that `sync` completes MLflow."""
    assert model_bytes(project) == model_bytes(world)
    assert_one_warning(capsys.readouterr().err, "MLflow does not show all of this run")
    assert_complete(project, settings)


def test_mlflow_shows_an_undisturbed_run_completely(project: Project, settings: Settings) -> None:
    run(project, settings)
    [finding] = check_mlflow(project, [NAME])
    assert finding.verdict is Verdict.EQUAL, finding
    assert_complete(project, settings)


def test_the_name_of_the_project_may_have_characters_of_addresses(tmp_path: Path) -> None:
    store = Store(Project(tmp_path / "why?a=1 100%20"))
    store.project.root.mkdir()
    assert store.client.search_experiments()
    assert store.database.exists()


def test_a_file_that_the_system_protects_is_no_problem_of_mlflow(project: Project) -> None:
    with pytest.raises(PermissionError), Store(project).reported():
        raise PermissionError("run folder")


def test_a_damaged_database_costs_one_warning(
    world: Project, project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings, lambda: database(project).write_bytes(b"no database" * 1000))
    assert model_bytes(project) == model_bytes(world)
    assert_one_warning(capsys.readouterr().err, "MLflow does not show all of this run")
    with pytest.raises(TriptychError, match=r"mlflow\.db \(.*delete it and run `triptych sync`"):
        sync(project, settings)
    database(project).unlink()
    assert_complete(project, settings)


def test_to_look_for_a_run_creates_and_restores_no_experiment(project: Project) -> None:
    store = Store(project)
    assert store.find_runs(NAME, "fingerprint", "vae") == []
    assert store.client.get_experiment_by_name("vae") is None
    store.client.delete_experiment(store.prepare_experiment("vae"))
    assert store.find_runs(NAME, "fingerprint", "vae") == []
    assert store.client.get_experiment_by_name("vae").lifecycle_stage == "deleted"


def test_sync_skips_a_damaged_run_folder(project: Project, settings: Settings, capsys: pytest.CaptureFixture) -> None:
    run(project, settings, learning_rate=0.002)
    [damaged] = (project.private / "runs" / NAME).iterdir()
    (damaged / "history.csv").write_text("epoch,train_elbo\n0,x")
    run(project, settings)
    database(project).unlink()
    assert_complete(project, settings)
    assert_one_warning(capsys.readouterr().err, f"the run folder {damaged} is left out: ")


def test_a_full_disk_costs_one_warning(
    world: Project,
    project: Project,
    settings: Settings,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log_rows, limits = Store.log_rows, resource.getrlimit(resource.RLIMIT_FSIZE)

    def log_on_a_full_disk(*arguments: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            log_rows(*arguments)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    run(project, settings, lambda: monkeypatch.setattr(Store, "log_rows", log_on_a_full_disk))
    monkeypatch.undo()
    monkeypatch.setattr(mlflow_store, "is_alive", lambda pid, since: False)  # the process of the training has ended
    assert_survived(world, project, settings, capsys)


def test_a_server_that_does_not_answer_costs_one_warning(
    world: Project,
    project: Project,
    settings: Settings,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv(URI_VARIABLE, f"http://127.0.0.1:{silent.getsockname()[1]}")
        run(project, settings)
    monkeypatch.delenv(URI_VARIABLE)
    assert_survived(world, project, settings, capsys)


def test_runs_of_dead_processes_are_marked_as_killed(project: Project, settings: Settings) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store = Store(project)
    inputs = {"family": "vae", "fingerprint": "0" * 64, "profile": "quick", "settings": {}}
    tags = {"host": platform.node(), "pid": str(dead.pid)}
    killed = store.create_run("killed", inputs, tags)
    alive = store.create_run("alive", inputs, {**tags, "pid": str(os.getpid())})
    elsewhere = store.create_run("elsewhere", inputs, {**tags, "host": "another machine"})
    run(project, settings)
    found = [store.client.get_run(run_id).info.status for run_id in (killed, alive, elsewhere)]
    assert found == ["KILLED", "RUNNING", "RUNNING"]


def test_on_a_shared_server_only_runs_of_this_project_are_marked(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(URI_VARIABLE, f"sqlite:///{tmp_path / 'shared.db'}")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    inputs = {"family": "vae", "fingerprint": "0" * 64, "profile": "quick", "settings": {}}
    stores = [Store(project), Store(Project(tmp_path / "other"))]
    tags = {"host": platform.node(), "pid": str(dead.pid)}
    ids = [store.create_run("killed", inputs, tags) for store in stores]
    stores[0].mark_dead_runs()
    assert [stores[0].client.get_run(run_id).info.status for run_id in ids] == ["KILLED", "RUNNING"]


LOG_POINTS = """
import sys
from pathlib import Path
from triptych.core.errors import TriptychError
from triptych.repository.project import Project
from triptych.records.mlflow.live_run import LiveRun
from triptych.records.mlflow.store import Store
name, project = sys.argv[1], Project(Path.cwd())
inputs = {"family": "vae", "fingerprint": name, "profile": "quick", "settings": {}}
live = LiveRun(Store(project), name, flush_seconds=0.0)
live.start(inputs, {})
for epoch in range(30):
    live.log({"epoch": epoch, "loss": epoch / 7})
live.fail()
print(live.broken)
"""


@pytest.mark.slow
def test_several_processes_log_into_one_database(project: Project) -> None:
    names = [f"run-{number}" for number in range(PROCESSES)]
    commands = [[sys.executable, "-c", LOG_POINTS, name] for name in names]
    processes = [subprocess.Popen(words, cwd=project.root, stdout=subprocess.PIPE, text=True) for words in commands]
    assert [process.communicate()[0].strip() for process in processes] == ["False"] * PROCESSES
    store = Store(project)
    for name in names:
        [found] = store.find_runs(name, name, "vae")
        assert store.curves(found.info.run_id, ["train_loss"])["train_loss"] == [
            (epoch, epoch / 7) for epoch in range(30)
        ]


def test_replaced_runs_leave_no_files(project: Project, settings: Settings) -> None:
    for _ in range(2):
        run(project, settings)
    assert len(list((project.root / "mlartifacts").rglob("MLmodel"))) == 1


METRICS = {
    "test": {"elbo": -120.5, "log_likelihood": -118.25},
    "fid_classifier": {
        "value": 42.0,
        "standard_error": 0.5,
        "samples": 9,
        "reference": "mnist/test",
        "reference_images": 9,
        "extractor": "x",
    },
}
PROCESS_TAGS = ("host", "pid")  # of a live run only
FINAL_SHEETS = ["images/samples+step+3", "images/samples_after_training+step+0"]


def evaluate(project: Project, numbers: dict[str, object] = METRICS) -> None:
    """Write a minimal evaluation of the model on disk."""
    with evaluation(project, NAME):
        weights = read_json(project.model(NAME) / "manifest.json")["weights_sha256"]
        write_json(project.results(NAME), {**numbers, "weights_sha256": weights})


def test_a_training_with_the_same_weights_keeps_its_evaluation(project: Project, settings: Settings) -> None:
    run(project, settings)
    evaluate(project)
    run(project, settings)
    [finding] = check_mlflow(project, [NAME])
    assert finding.verdict is Verdict.EQUAL, finding
    assert shown(project)["metrics"]["test.elbo"] == METRICS["test"]["elbo"]


def test_sync_leaves_a_running_training_alone(
    project: Project, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    run(project, settings)
    run(project, settings, lambda: sync(project, settings))
    assert "warning: " not in capsys.readouterr().err
    assert_complete(project, settings)


def shown(project: Project) -> dict[str, object]:
    """Return the content of MLflow: of the experiment, of its only run, and of the registered model."""
    client = Store(project).client
    experiment = client.get_experiment_by_name("vae")
    [run] = client.search_runs([experiment.experiment_id])
    [model_id] = [output.model_id for output in run.outputs.model_outputs]
    names = [entry.path for entry in client.list_artifacts(run.info.run_id, "images")]
    images = {
        name.split("+timestamp+")[0]: Path(client.download_artifacts(run.info.run_id, name)).read_bytes()
        for name in names
        if name.endswith(".png")
    }
    return {
        "experiment": experiment.tags["mlflow.note.content"],
        "tags": {key: value for key, value in run.data.tags.items() if key not in PROCESS_TAGS},
        "metrics": run.data.metrics,
        "images": images,
        "metrics of the model": {metric.key for metric in client.get_logged_model(model_id).metrics or ()},
        "model": client.get_registered_model(NAME).description,
        "versions": [
            (version.version, version.tags, version.description, version.run_id == run.info.run_id)
            for version in client.search_model_versions(f"name = '{NAME}'")
        ],
    }


def empty_mlflow(project: Project, world: Project) -> None:
    """Replace the database by an empty one, and delete the files of MLflow."""
    forget_connections()
    shutil.copyfile(database(world), database(project))
    shutil.rmtree(project.root / "mlartifacts")


def test_sync_rebuilds_a_deleted_database(project: Project, settings: Settings) -> None:
    run(project, settings)
    evaluate(project)
    before = shown(project)
    [(version, tags, description, _)] = before["versions"]
    assert (version, tags["profile"]) == (1, "quick")
    result = "ELBO -120.50, log p -118.25 nats, FID 42.00 ± 0.50 (standard error)"
    assert description == before["tags"]["result"] == result
    assert before["tags"]["trained"] == "3 epochs, 18 updates"
    assert "trained for 3 epochs, 18 updates of 50 examples on 300 images" in before["tags"]["mlflow.note.content"]
    assert "The git commit is not recorded" in before["tags"]["mlflow.note.content"]
    assert sorted(before["images"]) == ["images/samples+step+0", "images/samples+step+2", *FINAL_SHEETS]
    assert before["images"][FINAL_SHEETS[0]] == before["images"][FINAL_SHEETS[1]]
    assert "test.log_likelihood" in before["metrics of the model"]
    forget_connections()
    database(project).unlink()
    shutil.rmtree(project.root / "mlartifacts")
    sync(project, settings)
    assert shown(project) == before
    said: list[str] = []
    assert sync(project, settings, said.append) == (1, 0)
    assert said == ["1 of 1 runs"]


def test_a_missing_database_driver_is_one_sentence(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URI_VARIABLE, "postgresql://user:secret@localhost/x")

    def connect(*_: object) -> None:
        raise ModuleNotFoundError("No module named 'psycopg'")

    monkeypatch.setattr(mlflow_store, "import_client", lambda: connect)
    with pytest.raises(TriptychError) as caught, Store(project).reported():
        Store(project).client.search_experiments()
    words = "MLflow needs a package that is missing (No module named 'psycopg'): install it"
    assert str(caught.value) == words


def test_a_rebuilt_run_spreads_its_points_over_its_duration(
    world: Project, project: Project, settings: Settings
) -> None:
    run(project, settings)
    [entry] = (project.private / "journal").rglob("*.json")
    facts = read_json(entry)
    write_json(entry, {**facts, "started": "2026-01-01T00:00:00+00:00", "seconds": 6.0})
    empty_mlflow(project, world)
    sync(project, settings)
    store = Store(project)
    [found] = store.client.search_runs([store.prepare_experiment("vae")])
    times = [point.timestamp for point in store.client.get_metric_history(found.info.run_id, "valid_negative_elbo")]
    assert [time - found.info.start_time for time in times] == [0, 2000, 4000, 6000]
    assert found.info.end_time - found.info.start_time == 6000


def test_each_set_of_weights_has_one_version(project: Project, settings: Settings) -> None:
    def versions() -> list[tuple[int, str]]:
        found = Store(project).client.search_model_versions(f"name = '{NAME}'")
        return sorted((int(version.version), version.tags["weights_sha256"]) for version in found)

    run(project, settings)
    [(_, first)] = versions()
    run(project, settings)
    assert versions() == [(1, first)]
    run(project, settings, learning_rate=0.002)
    [_, (_, second)] = versions()
    assert versions() == [(1, first), (2, second)]
    assert second != first
    weights = change_weights(project)  # as changed code would do with the same settings
    sync(project, settings)
    assert versions() == [(1, first), (3, weights)]
    assert len(list((project.root / "mlartifacts").rglob("MLmodel"))) == 2


def test_sync_restores_the_version_of_a_restored_model(
    world: Project, project: Project, settings: Settings, tmp_path: Path
) -> None:
    run(project, settings)
    shutil.move(project.model(NAME), tmp_path / "elsewhere")
    empty_mlflow(project, world)
    sync(project, settings)
    assert not Store(project).client.search_model_versions(f"name = '{NAME}'")
    shutil.move(tmp_path / "elsewhere", project.model(NAME))
    assert sync(project, settings) == (1, 0)
    [version] = Store(project).client.search_model_versions(f"name = '{NAME}'")
    assert version.description == "not evaluated"
    assert shown(project)["versions"][0][-1]


def test_sync_works_after_the_user_deleted_a_model_in_the_interface(
    project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings)
    client = Store(project).client
    [version] = client.search_model_versions(f"name = '{NAME}'")
    [deleted] = client.get_run(version.run_id).outputs.model_outputs
    client.delete_model_version(NAME, version.version)
    client.delete_logged_model(deleted.model_id)
    weights = change_weights(project)
    assert sync(project, settings) == (1, 1)
    [version] = client.search_model_versions(f"name = '{NAME}'")
    assert version.tags["weights_sha256"] == weights
    assert "warning" not in capsys.readouterr().err


def test_sync_skips_a_run_folder_with_a_damaged_sheet_of_samples(
    project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings)
    [folder] = all_run_folders(project)
    sheet = next(iter(folder.samples.values()))
    whole = sheet.read_bytes()
    for damaged in (b"no picture", whole[:8] + b"\xff" + whole[9:]):  # the second has a wrong length of its first part
        sheet.write_bytes(damaged)
        sync(project, settings)
        assert_one_warning(capsys.readouterr().err, f"the run folder {folder.path} is left out: {sheet}")


def journal_of(project: Project) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in (project.private / "journal").rglob("*.json")}


def test_a_point_of_a_sweep_with_a_known_result_keeps_its_record(
    project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit and the time of the user's result stay, and MLflow shows one run."""
    run(project, settings)
    evaluate(project)
    before, journal = shown(project), journal_of(project)
    monkeypatch.setenv("DVC_EXP_NAME", "rate-1")
    run(project, settings)
    evaluate(project)
    assert shown(project) == before
    assert journal_of(project) == journal
    run(project, settings, seed=7)
    assert len(list(all_run_folders(project))) == 2


def test_sync_skips_a_damaged_model(project: Project, settings: Settings, capsys: pytest.CaptureFixture) -> None:
    run(project, settings)
    (project.model(NAME) / "manifest.json").write_text("{}")
    capsys.readouterr()
    assert sync(project, settings) == (1, 0)
    assert_one_warning(capsys.readouterr().err, f"the present result of {NAME} is left out")


def test_a_failure_to_draw_samples_costs_one_warning(
    project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def no_memory(*_: object) -> None:
        raise RuntimeError("not enough memory")

    monkeypatch.setattr(stage_tracker, "draw_sample_sheets", no_memory)
    run(project, settings)
    assert (project.model(NAME) / "weights.safetensors").exists()
    assert_one_warning(capsys.readouterr().err, "MLflow does not show all of this run (not enough memory)")


def change_weights(project: Project) -> str:
    """Change the weights of the model on disk; return their SHA-256."""
    path = project.model(NAME) / "weights.safetensors"
    save_tensors(path, {name: tensor + 1 for name, tensor in load_tensors(path).items()})
    manifest = read_json(project.model(NAME) / "manifest.json")
    write_json(project.model(NAME) / "manifest.json", {**manifest, "weights_sha256": sha256_of_file(path)})
    return sha256_of_file(path)


def test_a_new_layout_version_rebuilds_every_run_once(
    project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(project, settings)
    assert sync(project, settings) == (1, 0)
    store = Store(project)
    store.client.set_experiment_tag(store.prepare_experiment("vae"), "mlflow.note.content", "the user's own text")
    monkeypatch.setattr(run_folder, "LAYOUT_VERSION", run_folder.LAYOUT_VERSION + 1)
    assert sync(project, settings) == (1, 1)
    assert sync(project, settings) == (1, 0)
    assert shown(project)["experiment"] == "the user's own text"
    assert [number for number, *_ in shown(project)["versions"]] == [1]


def test_sync_shows_a_run_without_its_damaged_model(
    world: Project, project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings)
    empty_mlflow(project, world)
    shutil.rmtree(project.private / "runs")
    (project.model(NAME) / "epoch-0000.safetensors").unlink()
    assert_complete(project, settings)
    assert_one_warning(capsys.readouterr().err, "MLflow shows vae-20d without its model")


def folders(project: Project) -> set[str]:
    """Return the names of all folders of runs and models."""
    place = project.root / "mlartifacts" / "vae"
    return {path.name for path in (*place.glob("*"), *place.glob("models/*"))} - {"models"}


def rebuild(project: Project, settings: Settings) -> None:
    forget_connections()
    database(project).unlink()
    sync(project, settings)


def test_a_rebuild_deletes_the_files_of_unknown_runs_and_models_only(project: Project, settings: Settings) -> None:
    run(project, settings)
    own, before = project.root / "mlartifacts" / "vae" / "my-notes" / "text.txt", folders(project)
    own.parent.mkdir()
    own.touch()
    newer = project.root / "mlartifacts" / "vae" / ("0" * 32)  # of a process that began before the deletion
    newer.mkdir()
    os.utime(newer, (2**33, 2**33))
    elsewhere = project.root / "mlartifacts" / "another" / ("0" * 32) / "artifacts"
    elsewhere.mkdir(parents=True)
    rebuild(project, settings)
    assert own.exists()
    assert newer.exists()
    assert elsewhere.exists()
    assert len(before) == 2
    assert not before & folders(project)
    assert len(folders(project)) == 2 + len(["my-notes", newer])
    assert_complete(project, settings)


def test_known_files_stay(project: Project, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of a run in training, of a run and a model that the user deleted, and all of them if there is a server."""
    run(project, settings)
    client = Store(project).client
    [done] = client.search_runs([Store(project).prepare_experiment("vae")])
    [registered] = [output.model_id for output in done.outputs.model_outputs]
    client.delete_logged_model(registered)  # a version of it is still registered
    inputs = {"family": "vae", "fingerprint": "0" * 64, "profile": "quick", "settings": {}}
    running, deleted = (
        Store(project).create_run(name, inputs, {"host": platform.node(), "pid": str(os.getpid())})
        for name in ("running", "deleted")
    )
    for run_id in (running, deleted):
        client.log_text(run_id, "text", "figures/text.txt")
    client.delete_run(deleted)
    unknown = [project.root / "mlartifacts" / "vae" / name for name in ("0" * 32, f"models/m-{'0' * 32}")]
    for folder in unknown:
        folder.mkdir()
    known = {running, deleted, done.info.run_id, registered}
    for name in folders(project):
        for place in ("vae", "vae/models"):
            if (folder := project.root / "mlartifacts" / place / name).exists():
                os.utime(folder, (0, 0))
    with monkeypatch.context() as patch:
        patch.chdir(project.root)  # this store keeps its files in the working directory
        patch.setenv(URI_VARIABLE, f"sqlite:///{project.root / 'server.db'}")
        sync(project, settings)
    assert known | {folder.name for folder in unknown} <= folders(project)
    sync(project, settings)
    assert known <= folders(project)
    assert not any(folder.exists() for folder in unknown)


def test_sync_updates_the_first_experiment_of_a_seed_group(project: Project, settings: Settings) -> None:
    def entry() -> str:
        [found] = Store(project).client.search_runs([Store(project).prepare_experiment("vae")])
        return found.data.tags["entry"]

    first = {"vae-first": settings.experiment(NAME).model_copy(update={"seed": 1})}
    with_first = settings.model_copy(update={"experiments": {**first, **settings.experiments}})
    run(project, settings)
    assert entry() == NAME
    for changed, expected in ((with_first, "vae-first"), (settings, NAME)):
        assert sync(project, changed) == (1, 0)
        assert entry() == expected


def test_links_in_descriptions_survive_a_rebuild(project: Project, settings: Settings) -> None:
    run(project, settings)
    store = Store(project)
    store.client.create_experiment("the user's own")  # so that the next number is another one
    before = store.prepare_experiment("vae")
    note = shown(project)["experiment"]
    assert f"(#/experiments/{before}/runs?" in note
    forget_connections()
    database(project).unlink()
    for name in ("another", "a third"):
        Store(project).client.create_experiment(name)
    sync(project, settings)
    store = Store(project)
    number = store.prepare_experiment("vae")
    assert number != before
    expected = note.replace(f"#/experiments/{before}/", f"#/experiments/{number}/")
    assert shown(project)["experiment"] == expected
    for text, kept in ((note, False), (f"My own text. {note}", True)):  # as copied from another database
        store.client.set_experiment_tag(number, "mlflow.note.content", text)
        sync(project, settings)
        assert shown(project)["experiment"] == (text if kept else expected)


def test_an_old_saved_view_is_replaced_unless_the_user_edited_it(project: Project) -> None:
    store = Store(project)
    number = store.prepare_experiment("vae")

    def view(**changes: object) -> dict[str, object]:
        shown_view = json.loads(store.client.get_experiment(number).tags[saved_view.SAVED_VIEW])
        if changes:
            store.client.set_experiment_tag(number, saved_view.SAVED_VIEW, json.dumps({**shown_view, **changes}))
            store.prepare_experiment("vae")
            return view()
        return shown_view

    first = view()
    assert view(state="deflate;of an earlier version")["state"] == first["state"]
    assert view(createdAt=5, updatedAt=5) == {**first, "createdAt": 5, "updatedAt": 5}
    edited = {"state": "deflate;of the user", "createdAt": 5, "updatedAt": 6}
    assert view(**edited) == {**first, **edited}


def test_a_measured_number_never_has_the_name_of_a_curve(project: Project, settings: Settings) -> None:
    """A family of the user's may measure anything."""
    run(project, settings)
    metrics = {**METRICS, "valid_negative_elbo": 1.5, "test": {**METRICS["test"], "train_elbo": 2.5}}
    evaluate(project, metrics)
    [found] = Store(project).client.search_runs([Store(project).prepare_experiment("vae")])
    assert found.data.metrics["measured.valid_negative_elbo"] == 1.5
    assert found.data.metrics["measured.test.train_elbo"] == 2.5
    assert found.data.metrics["test.elbo"] == -120.5
    [folder] = all_run_folders(project)
    assert found.data.metrics["valid_negative_elbo"] == folder.history[-1]["valid_negative_elbo"]
    assert_complete(project, settings)


def test_the_ui_command_prints_the_addresses_of_the_runs(project: Project, settings: Settings) -> None:
    run(project, settings)
    store = Store(project)
    store.client.create_experiment("the user's own experiment")
    view = f"http://127.0.0.1:5000/#/experiments/{store.prepare_experiment('vae')}/runs?"
    assert [line.split()[0] for line in experiment_lines(store, "http://127.0.0.1:5000").splitlines() if line] == [
        "vae"
    ]
    assert view in experiment_lines(store, "http://127.0.0.1:5000")


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Accept any port, and restore the signal handlers of the tests."""
    monkeypatch.setattr(ui, "_refuse_port_in_use", lambda _: None)
    before = {number: signal.getsignal(number) for number in ui.STOP_SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("served")
def test_the_ui_command_refuses_a_damaged_or_read_only_database(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    database(project).write_bytes(b"no database" * 1000)
    with pytest.raises(TriptychError, match=r"mlflow\.db \(.*not a database.*\): delete it and run `triptych sync`"):
        ui.serve(project, 5000)
    monkeypatch.setattr(os, "access", lambda path, _: path != database(project))  # root may write to all files
    with pytest.raises(TriptychError, match=r"mlflow\.db is read-only, and MLflow writes to it: make it writable"):
        ui.serve(project, 5000)


@pytest.mark.usefixtures("served")
def test_the_ui_command_prints_its_address_before_it_reads_the_database(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(ui, "_experiments", lambda *_: signal.raise_signal(signal.SIGTERM))
    ui.serve(project, 5000)
    assert capsys.readouterr().out == "MLflow starts at http://127.0.0.1:5000: this takes some seconds\n"


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("moment", ["_experiments", "_wait_for"])
def test_sigterm_ends_the_ui_command_and_its_server(
    project: Project, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    server = subprocess.Popen(["sleep", "3600"])
    monkeypatch.setattr(ui, "_experiments", lambda *_: "")
    monkeypatch.setattr(ui, "_start_server", lambda *_: server)
    monkeypatch.setattr(ui, moment, lambda *_: signal.raise_signal(signal.SIGTERM))
    ui.serve(project, 5000)
    assert server.poll() == (None if moment == "_experiments" else -signal.SIGTERM)
    server.kill()
    server.wait()


@pytest.mark.usefixtures("served")
def test_the_ui_command_reports_that_its_server_has_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ["sh", "-c", "echo first >&2; echo the reason >&2; exit 3"]
    monkeypatch.setattr(ui, "_start_server", lambda _, __, errors: subprocess.Popen(words, stderr=errors))
    with pytest.raises(TriptychError, match="MLflow's server has ended with status 3: the reason"):
        ui.serve(project, 5000)


@pytest.mark.parametrize("family", [*FAMILIES, *STUDIES, "classifier", "a family of the user's"])
def test_every_experiment_has_a_saved_view_by_its_headline(family: str) -> None:
    saved = json.loads(saved_view.saved_view(family))
    state = json.loads(zlib.decompress(base64.b64decode(saved["state"].removeprefix("deflate;"))))
    headline = headline_of(family)
    assert state["orderByKey"] == f"metrics.`{headline.metric}`"
    assert state["orderByAsc"] is not headline.higher_is_better
    assert state["orderByKey"] in state["selectedColumns"]
    charts = {
        (chart["type"], chart.get("metricKey", chart.get("imageKeys", [""])[0])) for chart in state["compareRunCharts"]
    }
    assert {("BAR", headline.metric), *(("LINE", curve) for curve in headline.curves)} <= charts
    assert (("IMAGE", "samples") in charts) == (family in FAMILIES or "'" in family)
    assert all(len(curve) > 1 for curve in headline.curves)
    note = experiment_note(family, "7")
    assert headline.metric in note
    assert "(#/experiments/7/runs?" in note


@pytest.mark.parametrize(
    ("mlflow", "is_known"), [("3.17.0", True), ("3.17.2", True), ("3.18.0", False), ("4.0", False)]
)
def test_the_saved_view_is_written_only_for_known_mlflow_versions(
    project: Project, monkeypatch: pytest.MonkeyPatch, mlflow: str, is_known: bool
) -> None:
    monkeypatch.setattr(saved_view, "version", lambda _: mlflow)
    store = Store(project)
    number = store.prepare_experiment("vae")
    tags = store.client.get_experiment(number).tags
    assert "mlflow.note.content" in tags
    assert (saved_view.SAVED_VIEW in tags) == (saved_view.EXPERIMENT_KIND in tags) == is_known
    assert bool(saved_view.model_version_tags("vae-20d", 1)) == is_known
    address = saved_view.address_of(number)
    assert address.startswith(f"#/experiments/{number}/runs")
    assert ("viewStateShareKey" in address) == is_known


def test_the_installed_mlflow_is_a_known_version() -> None:
    assert saved_view.interface_is_known()


IMPORT_WITHOUT_MLFLOW = """
import importlib, pkgutil, sys
sys.modules["mlflow"] = None
import triptych.records
for module in pkgutil.walk_packages(triptych.records.__path__, "triptych.records."):
    importlib.import_module(module.name)
"""


def test_the_records_can_be_imported_without_mlflow() -> None:
    subprocess.run([sys.executable, "-c", IMPORT_WITHOUT_MLFLOW], check=True)


def test_a_damaged_entry_of_the_journal_may_be_deleted(tmp_path: Path) -> None:
    project, result = Project(tmp_path), tmp_path / "result.json"
    result.write_text("{}")
    Execution(project, "train", "vae-20d").write(result)
    [entry] = (tmp_path / ".triptych" / "journal").rglob("*.json")
    assert look_up(project, "train", "vae-20d", result)["name"] == "vae-20d"
    entry.write_text('{"a')
    with pytest.raises(TriptychError, match=r"\.json is damaged: delete it; it only has the time"):
        look_up(project, "train", "vae-20d", result)


def test_a_database_that_cannot_be_opened_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    store = Store(Project(tmp_path))
    store.database.mkdir(parents=True)
    with pytest.raises(IsADirectoryError):
        _ = store.client


def test_messages_hide_the_password_of_the_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://ada:secret@runs.example/a@b")
    problem = Store(Project(tmp_path)).problem(OSError("no route to https://ada:secret@runs.example/a@b"))
    address = "https://runs.example/a@b"
    assert problem == f"MLflow at {address} does not answer (no route to {address}): try again later"

"""Records: whatever happens to MLflow costs one warning, and `sync` makes them whole again."""

from __future__ import annotations

import copy
import os
import platform
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from mlflow.tracking._tracking_service.utils import _tracking_store_registry

from conftest import shrink
from triptych.config import Settings, parse
from triptych.data.prepared import PreparedData
from triptych.errors import TriptychError
from triptych.project import Project
from triptych.stages.inputs import train_inputs
from triptych.stages.train import train
from triptych.tracker import Console
from triptych.tracking.store import URI_VARIABLE, Store
from triptych.tracking.sync import sync
from triptych.tracking.tracker import RunTracker, training
from triptych.verify.finding import Verdict
from triptych.verify.views import check_mlflow

NAME = "vae-20d"
PROCESSES = 3  # `make torture` takes eight


@pytest.fixture(scope="module")
def settings(params: dict) -> Settings:
    return parse(shrink(copy.deepcopy(params)))


@pytest.fixture(scope="module")
def world(settings: Settings, prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with prepared data, an empty database, and what an undisturbed training gives."""
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
def project(world: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.delenv(URI_VARIABLE, raising=False)
    shutil.copytree(world.root, tmp_path / "project")
    copied = Project(tmp_path / "project")
    shutil.rmtree(copied.private)
    shutil.rmtree(copied.model(NAME))
    return copied


class Fault(Console):
    """Passes everything on to the real tracker, and does something in the middle of the run."""

    def __init__(self, real: RunTracker, happens: Callable[[], None]) -> None:
        self.real, self.happens = real, happens
        real.live.flush_seconds = 0.0

    def log(self, step: int, metrics: dict[str, float]) -> None:
        if step == 2:
            self.happens()
        self.real.log(step, metrics)


def run(project: Project, settings: Settings, happens: Callable[[], None] = lambda: None, **changes: object) -> None:
    experiment = settings.experiment(NAME).model_copy(update=changes)
    data = project.prepared(experiment.dataset)
    inputs = train_inputs(experiment, "quick", settings.runtime, PreparedData.open(data))
    with training(project, "train", NAME, inputs, project.model(NAME)) as tracker:
        train(
            name=NAME,
            experiment=experiment,
            profile="quick",
            runtime=settings.runtime,
            data=data,
            output=project.model(NAME),
            checkpoints=project.private / "checkpoints",
            code="code",
            tracker=Fault(tracker, happens),
        )


def model_bytes(project: Project) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(project.model(NAME).iterdir())}


def database(project: Project) -> Path:
    return project.root / "mlflow.db"


def forget_connections() -> None:
    """What comes next connects anew, as another process would."""
    for engine in SqlAlchemyStore._engine_map.values():
        engine.dispose()
    SqlAlchemyStore._engine_map.clear()
    _tracking_store_registry._get_store_with_resolved_uri.cache_clear()


def assert_whole(project: Project, settings: Settings) -> None:
    """After `sync`, MLflow shows every point, once."""
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
    """The run ended as an undisturbed one, with one warning, and its records can be mended."""
    assert model_bytes(project) == model_bytes(world)
    assert_one_warning(capsys.readouterr().err, "MLflow does not answer")
    assert_whole(project, settings)


def test_an_undisturbed_run_is_whole(world: Project, project: Project, settings: Settings) -> None:
    run(project, settings)
    [finding] = check_mlflow(project, [NAME])
    assert finding.verdict is Verdict.EQUAL, finding
    assert_whole(project, settings)


def test_a_database_that_is_lost_in_mid_run(
    world: Project, project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings, lambda: database(project).write_bytes(b"no database" * 1000))
    assert model_bytes(project) == model_bytes(world)
    assert_one_warning(capsys.readouterr().err, "MLflow does not answer")
    with pytest.raises(TriptychError, match=r"nothing is lost, .* delete .*mlflow\.db"):
        sync(project, settings)
    database(project).unlink()
    assert_whole(project, settings)


def test_a_damaged_record_leaves_the_others(
    project: Project, settings: Settings, capsys: pytest.CaptureFixture
) -> None:
    run(project, settings, learning_rate=0.002)
    [damaged] = (project.private / "runs" / NAME).iterdir()
    (damaged / "history.csv").write_text("epoch,train_elbo\n0,x")
    run(project, settings)
    database(project).unlink()
    assert_whole(project, settings)
    assert_one_warning(capsys.readouterr().err, f"the record {damaged} is left out: ")


def test_a_full_disk_under_the_database(
    world: Project,
    project: Project,
    settings: Settings,
    capsys: pytest.CaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log_history, limits = Store.log_history, resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_a_full_disk(*words: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        try:
            log_history(*words)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    run(project, settings, lambda: monkeypatch.setattr(Store, "log_history", on_a_full_disk))
    monkeypatch.undo()
    assert_survived(world, project, settings, capsys)


def test_a_server_that_hangs(
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


def test_dead_runs_are_marked(project: Project, settings: Settings) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    store = Store(project)
    inputs = {"family": "vae", "fingerprint": "0" * 64, "profile": "quick", "settings": {}}
    tags = {"host": platform.node(), "pid": str(dead.pid)}
    killed = store.create_run("killed", inputs, {}, tags)
    alive = store.create_run("alive", inputs, {}, {**tags, "pid": str(os.getpid())})
    elsewhere = store.create_run("elsewhere", inputs, {}, {**tags, "host": "another machine"})
    run(project, settings)
    found = [store.client.get_run(run_id).info.status for run_id in (killed, alive, elsewhere)]
    assert found == ["KILLED", "RUNNING", "RUNNING"]


LOG_POINTS = """
import sys
from pathlib import Path
from triptych.errors import TriptychError
from triptych.project import Project
from triptych.tracking.live import LiveRun
from triptych.tracking.store import Store
name, project = sys.argv[1], Project(Path.cwd())
inputs = {"family": "vae", "fingerprint": name, "profile": "quick", "settings": {}}
live = LiveRun(Store(project), name, inputs, {}, flush_seconds=0.0)
live.start({})
for epoch in range(30):
    live.log({"epoch": epoch, "loss": epoch / 7})
print(live.broken)
"""


def test_several_processes_at_once(project: Project) -> None:
    names = [f"run-{number}" for number in range(PROCESSES)]
    commands = [[sys.executable, "-c", LOG_POINTS, name] for name in names]
    processes = [subprocess.Popen(words, cwd=project.root, stdout=subprocess.PIPE, text=True) for words in commands]
    assert [process.communicate()[0].strip() for process in processes] == ["False"] * PROCESSES
    store = Store(project)
    for name in names:
        [found] = store.runs(name, name, "vae")
        assert store.curves(found.info.run_id, ["loss"])["loss"] == [(epoch, epoch / 7) for epoch in range(30)]


def test_replaced_runs_leave_no_files(project: Project, settings: Settings) -> None:
    for _ in range(2):
        run(project, settings)
    assert len(list((project.root / "mlartifacts").rglob("MLmodel"))) == 1

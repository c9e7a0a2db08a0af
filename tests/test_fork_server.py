"""Warm starts: a fork of the helper does what a process of its own would, and dies as it would."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import environment, is_gone, wait_until
from triptych.cli.main import INTERRUPTED
from triptych.runner import fork_server, gpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="warm starts are for Linux")

COLD = 99
ONLY_WARM = f"""
import sys
from triptych.runner.fork_server import run_warm
sys.argv[0] = "triptych"
status = run_warm()
sys.exit({COLD} if status is None else status)
"""


def write_params(folder: Path, params: dict) -> None:
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, prepared: Path, tiny_params: dict) -> Path:
    """A folder in which experiments can be trained."""
    write_params(tmp_path, tiny_params)
    shutil.copytree(prepared, tmp_path / "data" / "prepared")
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env={**environment(), **variables}, capture_output=True, text=True, check=False
    )


def train_without_end(project: Path, params: dict, variables: dict[str, str]) -> tuple[subprocess.Popen, int]:
    """A command that trains, and the process that does the work."""
    endless = params["experiments"]["gan-mnist"] | {"epochs": {"quick": 1_000_000, "full": 1}}
    write_params(project, params | {"experiments": params["experiments"] | {"gan-mnist": endless}})
    command = subprocess.Popen(
        ["triptych", "train", "gan-mnist"],
        cwd=project,
        env={**environment(), **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    owners = project / ".triptych" / "checkpoints"
    wait_until(lambda: any(owner.read_text() for owner in owners.glob("*.pid")))
    worker = int(next(owners.glob("*.pid")).read_text())
    assert worker != command.pid
    return command, worker


def test_a_helper_serves_stages_of_any_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    before = fork_server.conditions()
    monkeypatch.setenv(gpus.VARIABLE, "1")
    assert fork_server.conditions() == before
    monkeypatch.setenv("OMP_DYNAMIC", "true")
    assert fork_server.conditions() != before


def test_a_warm_start_leaves_the_bytes_of_a_cold_one(project: Path, warm_start: dict[str, str]) -> None:
    said, left = [], []
    for words, variables in ((("triptych",), {}), ((sys.executable, "-c", ONLY_WARM), warm_start)):
        done = run(project, *words, "train", "vae-20d", **variables)
        said.append((done.returncode, done.stdout, done.stderr))
        model = project / "models" / "vae-20d"
        left.append({path.name: path.read_bytes() for path in model.iterdir()})
        model.rename(project / f"model-{len(left)}")
    assert said[0] == said[1]
    assert said[0][0] == 0
    assert left[0] == left[1]


@pytest.mark.parametrize(
    "words", [("train", "nothing"), ("train",), ("fetch", "mnist"), ("prepare", "mnist"), ("train", "--help")]
)
def test_a_warm_start_refuses_in_the_words_of_a_cold_one(
    project: Path, tiny_params: dict, warm_start: dict[str, str], words: tuple[str, ...]
) -> None:
    quick = tiny_params["profiles"]["quick"] | {"source": "folder"}
    write_params(project, tiny_params | {"profiles": tiny_params["profiles"] | {"quick": quick}})
    below = project / "data"  # a folder of the project will do
    cold = run(below, "triptych", *words, TRIPTYCH_DATA="/nowhere")
    warmed = run(below, sys.executable, "-c", ONLY_WARM, *words, TRIPTYCH_DATA="/nowhere", **warm_start)
    assert (warmed.returncode, warmed.stdout, warmed.stderr) == (cold.returncode, cold.stdout, cold.stderr)
    assert cold.returncode == {1: 2, 2: 0 if words[-1] == "--help" else 1}[len(words)]


@pytest.mark.parametrize(
    "before", ["export MKL_NUM_THREADS=3", "export PYTHONHASHSEED=1", "umask 077", "ulimit -f 20", "nice -n 3"]
)
def test_what_a_fork_cannot_take_over_starts_cold(project: Path, warm_start: dict[str, str], before: str) -> None:
    start = f'{before} "$@"' if before.startswith("nice") else f'{before}; exec "$@"'
    done = run(project, "sh", "-c", start, "sh", sys.executable, "-c", ONLY_WARM, "check", **warm_start)
    assert (done.returncode, done.stdout) == (COLD, "")
    assert run(project, sys.executable, "-c", ONLY_WARM, "check", **warm_start).returncode == 0


def test_edited_code_starts_cold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "triptych"
    shutil.copytree(fork_server.PACKAGE, copy)
    monkeypatch.setattr(fork_server, "PACKAGE", copy)
    before = fork_server.conditions()
    assert fork_server.conditions() == before
    file = copy / "training" / "loop.py"
    file.write_bytes(file.read_bytes() + b"\n")
    assert fork_server.conditions() != before


def test_a_helper_that_is_gone_or_silent_costs_no_word(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(project, "triptych", "check", TRIPTYCH_WARM=str(tmp_path / "nothing"))
    assert (done.returncode, done.stderr) == (0, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setenv(fork_server.VARIABLE, str(tmp_path / "s"))
        monkeypatch.setattr(fork_server, "PATIENCE", 0.1)
        assert fork_server.run_warm() is None


def test_a_place_that_no_socket_can_have_costs_no_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with fork_server.helper({}) as variables:
        assert variables == {}
    assert list(deep.iterdir()) == []


def test_a_killed_command_takes_its_worker_along(project: Path, tiny_params: dict, warm_start: dict[str, str]) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    command.kill()
    command.communicate()
    wait_until(lambda: is_gone(worker))
    again, worker = train_without_end(project, tiny_params, warm_start)  # the lock of the first is free
    again.terminate()
    again.communicate()
    assert again.returncode == -signal.SIGTERM
    wait_until(lambda: is_gone(worker))


def test_an_interrupted_command_clears_up(project: Path, tiny_params: dict, warm_start: dict[str, str]) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    command.send_signal(signal.SIGINT)
    _, said = command.communicate()
    assert command.returncode == INTERRUPTED
    assert said.splitlines()[-1] == "triptych: stopped; run the command again to continue from the last checkpoint"
    assert is_gone(worker)
    assert not list((project / ".triptych" / "checkpoints").glob("*.pid"))


def test_a_worker_that_dies_ends_its_command_likewise(
    project: Path, tiny_params: dict, warm_start: dict[str, str]
) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    os.kill(worker, signal.SIGKILL)
    command.communicate()
    assert command.returncode == -signal.SIGKILL


def test_repro_starts_its_stages_warm_and_its_helper_goes_with_it(project: Path) -> None:
    (project / "only_warm.py").write_text(ONLY_WARM)
    (project / ".dvc").mkdir()
    check = f"{shlex.quote(sys.executable)} only_warm.py check"
    stage = {"cmd": f'{check} && echo "$TRIPTYCH_WARM" > place && exec sleep 3600'}
    YAML().dump({"stages": {"only": stage}}, project / "dvc.yaml")
    repro = subprocess.Popen(["triptych", "repro"], cwd=project, env=environment(), start_new_session=True)
    place = project / "place"
    try:
        wait_until(lambda: repro.poll() is not None or (place.exists() and place.read_text().endswith("\n")))
        assert repro.poll() is None, "the stage started cold"
        helpers_folder = Path(place.read_text().strip()).parent
        assert helpers_folder.stat().st_mode & 0o777 == 0o700
        repro.kill()
        repro.wait()
        wait_until(lambda: not helpers_folder.exists())
    finally:
        os.killpg(repro.pid, signal.SIGKILL)

"""The fork server: a worker gives the results, messages and exit status of a separate process."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from conftest import environment, is_gone, wait_until
from triptych.cli import main
from triptych.cli.main import INTERRUPTED
from triptych.runner import fork_server, gpus

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server runs on Linux only")

NOT_FORKED = 99
ONLY_FORKED = f"""
import sys
from triptych.runner.fork_server import run_in_fork
sys.argv[0] = "triptych"
status = run_in_fork()
sys.exit({NOT_FORKED} if status is None else status)
"""


def write_params(folder: Path, params: dict) -> None:
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")


@pytest.fixture
def project(tmp_path: Path, prepared: Path, tiny_params: dict) -> Path:
    """Return a folder in which experiments can be trained."""
    write_params(tmp_path, tiny_params)
    shutil.copytree(prepared, tmp_path / "data" / "prepared")
    return tmp_path


def run(folder: Path, *words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words, cwd=folder, env={**environment(), **variables}, capture_output=True, text=True, check=False
    )


def train_without_end(
    project: Path, params: dict, variables: dict[str, str], words: Sequence[str] = ("triptych", "train", "gan-mnist")
) -> tuple[subprocess.Popen, int]:
    """Start a command that trains until it is stopped; return it and the id of the process that trains."""
    endless = params["experiments"]["gan-mnist"] | {"epochs": {"quick": 1_000_000, "full": 1}}
    write_params(project, params | {"experiments": params["experiments"] | {"gan-mnist": endless}})
    earlier = owners(project)
    command = subprocess.Popen(
        words,
        cwd=project,
        env={**environment(), **variables},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: bool(owners(project) - earlier))
    [worker] = owners(project) - earlier
    assert worker != command.pid
    return command, worker


def owners(project: Path) -> set[int]:
    """Return the ids of the processes that hold, or have held, a checkpoint folder."""
    texts = [path.read_text() for path in (project / ".triptych" / "checkpoints").glob("*.pid")]
    return {int(text) for text in texts if text}


@pytest.mark.parametrize(("code", "ends"), [(None, [0]), (0, [0]), (3, [3]), ("a message for Python to print", [])])
def test_a_worker_ends_at_once(code: object, ends: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    status: list[object] = []
    ended: list[int] = []
    monkeypatch.setattr(fork_server, "serve", lambda *_: status)
    monkeypatch.setattr(main, "main", lambda: sys.exit(code))
    monkeypatch.setattr(os, "_exit", ended.append)
    with pytest.raises(SystemExit):
        main.serve_forks.callback("folder", 3)
    fork_server._exit_at_once(status)
    assert ended == ends


def test_stages_on_any_gpu_share_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    before = fork_server.conditions()
    monkeypatch.setenv(gpus.VARIABLE, "1")
    assert fork_server.conditions() == before
    monkeypatch.setenv("OMP_DYNAMIC", "true")
    assert fork_server.conditions() != before


@pytest.mark.slow
def test_a_worker_writes_the_bytes_of_a_separate_process(project: Path, warm_start: dict[str, str]) -> None:
    printed, written = [], []
    for words, variables in ((("triptych",), {}), ((sys.executable, "-c", ONLY_FORKED), warm_start)):
        done = run(project, *words, "train", "vae-20d", **variables)
        printed.append((done.returncode, done.stdout, done.stderr))
        model = project / "models" / "vae-20d"
        written.append({path.name: path.read_bytes() for path in model.iterdir()})
        model.rename(project / f"model-{len(written)}")
    assert printed[0] == printed[1]
    assert printed[0][0] == 0
    assert written[0] == written[1]


@pytest.mark.parametrize(
    "words", [("train", "nothing"), ("train",), ("fetch", "mnist"), ("prepare", "mnist"), ("train", "--help")]
)
def test_a_worker_prints_the_errors_of_a_separate_process(
    project: Path, tiny_params: dict, warm_start: dict[str, str], words: tuple[str, ...]
) -> None:
    quick = tiny_params["profiles"]["quick"] | {"source": "folder"}
    write_params(project, tiny_params | {"profiles": tiny_params["profiles"] | {"quick": quick}})
    below = project / "data"  # commands also run in subfolders of the project
    alone = run(below, "triptych", *words, TRIPTYCH_DATA="/nowhere")
    forked = run(below, sys.executable, "-c", ONLY_FORKED, *words, TRIPTYCH_DATA="/nowhere", **warm_start)
    assert (forked.returncode, forked.stdout, forked.stderr) == (alone.returncode, alone.stdout, alone.stderr)
    assert alone.returncode == {1: 2, 2: 0 if words[-1] == "--help" else 1}[len(words)]


def test_fetch_does_not_wait_for_the_fork_server(project: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as busy:
        busy.bind(str(tmp_path / "socket"))
        busy.listen()
        busy.setblocking(False)
        done = run(project, "triptych", "fetch", "nothing", **{fork_server.VARIABLE: str(tmp_path / "socket")})
        assert "nothing" in done.stderr
        with pytest.raises(BlockingIOError):
            busy.accept()


@pytest.mark.parametrize(
    "before",
    [
        "export MKL_NUM_THREADS=$((${MKL_NUM_THREADS:-1} + 1))",
        "export PYTHONHASHSEED=$((${PYTHONHASHSEED:-0} + 1))",
        "umask $(umask | sed 's/7$/0/; t; s/.$/7/')",  # other rights of other users than now
        "ulimit -f 20",
        pytest.param("nice -n 1", marks=pytest.mark.skipif(os.nice(0) == 19, reason="this process has the most")),
    ],
)
def test_a_command_with_other_conditions_is_not_forked(project: Path, warm_start: dict[str, str], before: str) -> None:
    start = f'{before} "$@"' if before.startswith("nice") else f'{before}; exec "$@"'
    done = run(project, "sh", "-c", start, "sh", sys.executable, "-c", ONLY_FORKED, "check", **warm_start)
    assert (done.returncode, done.stdout) == (NOT_FORKED, "")
    assert run(project, sys.executable, "-c", ONLY_FORKED, "check", **warm_start).returncode == 0


def test_edited_code_changes_the_conditions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "triptych"
    shutil.copytree(fork_server.PACKAGE, copy)
    monkeypatch.setattr(fork_server, "PACKAGE", copy)
    before = fork_server.conditions()
    assert fork_server.conditions() == before
    file = copy / "training" / "loop.py"
    file.write_bytes(file.read_bytes() + b"\n")
    assert fork_server.conditions() != before


def test_a_source_file_that_disappears_costs_only_the_fork(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(fork_server.PACKAGE, tmp_path / "triptych")
    (tmp_path / "triptych" / ".#editing.py").symlink_to("user@machine.1")  # the lock of an editor
    monkeypatch.setattr(fork_server, "PACKAGE", tmp_path / "triptych")
    path = str(tmp_path / "server")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as server,
        socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection,
    ):
        server.bind(path)
        server.listen()
        assert not fork_server._send_command(connection, path)


def test_a_missing_or_silent_server_is_ignored(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    done = run(project, "triptych", "check", TRIPTYCH_FORK_SERVER=str(tmp_path / "nothing"))
    assert (done.returncode, done.stderr) == (0, "")
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(tmp_path / "s"))
        silent.listen()
        monkeypatch.setenv(fork_server.VARIABLE, str(tmp_path / "s"))
        monkeypatch.setattr(fork_server, "IMPORT_TIMEOUT", 0.1)
        assert fork_server.run_in_fork() is None


def test_a_path_too_long_for_a_socket_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with fork_server.running({}) as variables:
        assert variables == {}
    assert list(deep.iterdir()) == []


def test_a_killed_command_ends_its_worker(project: Path, tiny_params: dict, warm_start: dict[str, str]) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    command.kill()
    command.communicate()
    wait_until(lambda: is_gone(worker))
    again, worker = train_without_end(project, tiny_params, warm_start)  # the first training has released its lock
    again.terminate()
    again.communicate()
    assert again.returncode == -signal.SIGTERM
    wait_until(lambda: is_gone(worker))


def test_a_stage_ends_with_the_process_that_started_it(project: Path, tiny_params: dict) -> None:
    """A shell stands for DVC."""
    words = ("sh", "-c", "triptych train gan-mnist & wait")
    shell, stage = train_without_end(project, tiny_params, {"DVC_STAGE": "train@gan-mnist"}, words)
    shell.kill()
    shell.communicate()
    wait_until(lambda: is_gone(stage))


def test_an_interrupted_command_releases_its_lock(project: Path, tiny_params: dict, warm_start: dict[str, str]) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    command.send_signal(signal.SIGINT)
    _, errors = command.communicate()
    assert command.returncode == INTERRUPTED
    assert (
        errors.splitlines()[-1] == "triptych: stopped; the same command continues a training from its last checkpoint"
    )
    assert is_gone(worker)
    assert not list((project / ".triptych" / "checkpoints").glob("*.pid"))


def test_a_command_ends_by_the_signal_that_ended_its_worker(
    project: Path, tiny_params: dict, warm_start: dict[str, str]
) -> None:
    command, worker = train_without_end(project, tiny_params, warm_start)
    os.kill(worker, signal.SIGKILL)
    command.communicate()
    assert command.returncode == -signal.SIGKILL


COUNT_THREADS = """
import os
from pathlib import Path


def count():
    with Path("threads").open("a") as file:
        print(len(os.listdir("/proc/self/task")), file=file)


os.register_at_fork(after_in_parent=count)
"""


def test_repro_runs_stages_in_forks_and_all_its_processes_end_with_it(project: Path) -> None:
    """Neither `triptych repro` nor the fork server has threads after a fork: Python 3.12 warns of them."""
    (project / "sitecustomize.py").write_text(COUNT_THREADS)
    (project / "only_forked.py").write_text(ONLY_FORKED)
    (project / ".dvc").mkdir()
    check = f"{shlex.quote(sys.executable)} only_forked.py check"
    stage = {"cmd": f'{check} && echo "$$ $TRIPTYCH_FORK_SERVER" > started && sleep 3600'}
    YAML().dump({"stages": {"only": stage}}, project / "dvc.yaml")
    repro = subprocess.Popen(
        ["triptych", "repro"],
        cwd=project,
        env=environment() | {"PYTHONPATH": str(project), "OMP_NUM_THREADS": "2"},
        start_new_session=True,
    )
    started = project / "started"
    try:
        wait_until(lambda: repro.poll() is not None or (started.exists() and started.read_text().endswith("\n")))
        assert repro.poll() is None, "the stage did not run in a fork"
        shell, socket_path = started.read_text().split()
        socket_folder = Path(socket_path).parent
        assert socket_folder.stat().st_mode & 0o777 == 0o700
        threads = (project / "threads").read_text().split()
        assert set(threads) == {"1"}
        assert len(threads) >= 5  # the planning process, DVC, the command of the stage, keeper and worker
        repro.kill()
        repro.wait()
        wait_until(lambda: not socket_folder.exists() and is_gone(int(shell)))
    finally:
        with suppress(ProcessLookupError):
            os.killpg(repro.pid, signal.SIGKILL)

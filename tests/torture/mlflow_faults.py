"""MLflow faults during a training: the outputs keep their bytes, one warning, `triptych sync` restores the records."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from small_project import EXCERPT, SmallProject, wait_for
from table import Row, say

NAME, STAGE = "vae-20d", "train@vae-20d"
PROCESSES, POINTS = 8, 200
LOG_POINTS = f"""
import sys
from pathlib import Path
from triptych.repository.project import Project
from triptych.records.mlflow.live_run import LiveRun
from triptych.records.mlflow.store import Store
name, project = sys.argv[1], Project(Path.cwd())
live = LiveRun(Store(project), name, flush_seconds=0.0)
live.start(dict(family="vae", fingerprint=name, profile="quick", settings={{}}), {{}})
for epoch in range({POINTS}):
    live.log({{"epoch": epoch, "loss": epoch / 7}})
live.fail()
sys.exit(live.broken)
"""
COUNT_POINTS = """
import sys
from pathlib import Path
from triptych.repository.project import Project
from triptych.records.mlflow.store import Store
store = Store(Project(Path.cwd()))
for name in sys.argv[1:]:
    [run] = store.find_runs(name, name, "vae")
    print(len(store.curves(run.info.run_id, ["train_loss"])["train_loss"]))
"""


def database(project: SmallProject) -> Path:
    return project.root / "mlflow.db"


def _delete(project: SmallProject) -> Iterator[None]:
    database(project).unlink()
    yield


def _damage(project: SmallProject) -> Iterator[None]:
    database(project).write_bytes(b"no database at all" * 1000)
    yield
    database(project).unlink()


def _empty(project: SmallProject) -> Iterator[None]:
    database(project).write_bytes(b"")
    yield


def _lock(project: SmallProject) -> Iterator[None]:
    connection = sqlite3.connect(database(project), timeout=60)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.rollback()
    connection.close()


def _make_read_only(project: SmallProject) -> Iterator[None]:
    """Make the database read-only; root ignores permissions, and gets a link to a full device instead."""
    if os.geteuid():
        database(project).chmod(0o400)
        yield
        database(project).chmod(0o600)
    else:
        database(project).rename(project.root / "kept.db")
        database(project).symlink_to("/dev/full")
        yield
        database(project).unlink()
        (project.root / "kept.db").rename(database(project))


FAULTS: dict[str, Callable[[SmallProject], Iterator[None]]] = {
    "MLflow's database deleted": _delete,
    "MLflow's database damaged": _damage,
    "MLflow's database emptied": _empty,
    "MLflow's database locked": _lock,
    "MLflow's database read-only": _make_read_only,
}


def _train(project: SmallProject, fault: Callable[[SmallProject], Iterator[None]], **environment: str) -> str | None:
    """Train, cause the fault after the first checkpoint, and check the outputs; return the problem, or None."""
    expected = project.contents(STAGE)
    shutil.rmtree(project.root / "models" / NAME)
    shutil.rmtree(project.root / ".triptych" / "runs" / NAME, ignore_errors=True)
    process = project.start("triptych", "train", NAME, **environment)
    checkpoint = f".triptych/checkpoints/{NAME}@*/index.json"
    if not wait_for(lambda: list(project.root.glob(checkpoint)) or process.poll() is not None, 120):
        return "the training did not start"
    with contextmanager(fault)(project):
        output, _ = process.communicate(timeout=300)
    if process.returncode:
        return f"the training failed: {output[-EXCERPT:]}"
    if project.contents(STAGE) != expected:
        return "the training wrote different bytes"
    warnings = [line for line in output.splitlines() if "warning: " in line]
    if len(warnings) > 1 or "Traceback" in output:
        return f"more than one warning: {output[-EXCERPT:]}"
    return _restore(project)


def _restore(project: SmallProject) -> str | None:
    status, output = project.run("triptych", "sync")
    if status:
        return f"sync failed: {output[-EXCERPT:]}"
    _, output = project.run("triptych", "verify")
    wrong = [
        line for line in output.splitlines() if "MLflow" in line and line.startswith(("damaged", "missing", "not"))
    ]
    return f"after sync MLflow differs from the files: {wrong[0]}" if wrong else None


@contextmanager
def _server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Run MLflow's tracking server in a new process group."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{folder}/server.db", "--artifacts-destination", f"{folder}/artifacts",
    ]  # fmt: skip
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=os.environ | quiet,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    address = f"http://127.0.0.1:{port}"

    def answers() -> bool:
        try:
            with urlopen(f"{address}/health", timeout=1):
                return True
        except OSError:
            return False

    try:
        if not wait_for(answers, 120):
            raise RuntimeError("MLflow's server did not start")
        yield process, address
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _with_server(project: SmallProject, folder: Path, number: signal.Signals) -> str | None:
    folder.mkdir()
    with _server(folder) as (server, address):

        def fault(_: SmallProject) -> Iterator[None]:
            os.killpg(server.pid, number)
            yield

        return _train(project, fault, MLFLOW_TRACKING_URI=address)


def _many_writers(project: SmallProject) -> str | None:
    """Let eight processes log to one database at the same time."""
    names = [f"writer-{number}" for number in range(PROCESSES)]
    processes = [project.start(sys.executable, "-c", LOG_POINTS, name) for name in names]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        return f"a process failed: {outputs}"
    status, output = project.run(sys.executable, "-c", COUNT_POINTS, *names)
    counts = [int(line) for line in output.splitlines() if line.isdigit()]
    return None if status == 0 and counts == [POINTS] * PROCESSES else f"logged points: {counts} {output[-EXCERPT:]}"


def _dead_run(project: SmallProject) -> str | None:
    """Kill a training; the next stage must mark its MLflow run as killed."""
    process = project.start("triptych", "train", NAME)
    wait_for(lambda: list(project.root.glob(f".triptych/checkpoints/{NAME}@*/index.json")), 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    project.run("triptych", "study", "dirac")
    with sqlite3.connect(database(project)) as connection:
        found = connection.execute("select status from runs where name = ? and status = 'KILLED'", [NAME]).fetchall()
    project.run("triptych", "train", NAME)
    return None if found else "the killed run is not marked"


def torture(project: SmallProject, folder: Path) -> list[Row]:
    """Run one trial per fault."""
    trials: dict[str, Callable[[], str | None]] = {
        name: lambda fault=fault: _train(project, fault) for name, fault in FAULTS.items()
    }
    trials |= {
        "tracking server killed": lambda: _with_server(project, folder / "killed", signal.SIGKILL),
        "tracking server hangs": lambda: _with_server(project, folder / "hangs", signal.SIGSTOP),
        f"{PROCESSES} processes on one database": lambda: _many_writers(project),
        "killed run is marked": lambda: _dead_run(project),
    }
    rows = []
    for name, trial in trials.items():
        began = time.monotonic()
        row = Row(name)
        row.add(trial())
        say(f"{name}: {time.monotonic() - began:.0f} s")
        rows.append(row)
    return rows

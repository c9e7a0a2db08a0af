"""MLflow's faults in the middle of a real training: the same bytes, one warning, and `triptych sync` mends the rest."""

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

from table import Row, say
from world import LAST_WORDS, World, wait_for

NAME, STAGE = "vae-20d", "train@vae-20d"
NOBODY = 65534
PROCESSES, POINTS = 8, 200
LOG_POINTS = f"""
import sys
from pathlib import Path
from triptych.core.project import Project
from triptych.records.mlflow.live_run import LiveRun
from triptych.records.mlflow.store import Store
name, project = sys.argv[1], Project(Path.cwd())
live = LiveRun(Store(project), name, dict(family="vae", fingerprint=name, profile="quick", settings={{}}), 0.0)
live.start({{}})
for epoch in range({POINTS}):
    live.log({{"epoch": epoch, "loss": epoch / 7}})
live.flush()
sys.exit(live.broken)
"""
COUNT_POINTS = """
import sys
from pathlib import Path
from triptych.core.project import Project
from triptych.records.mlflow.store import Store
store = Store(Project(Path.cwd()))
for name in sys.argv[1:]:
    [run] = store.find_runs(name, name, "vae")
    print(len(store.curves(run.info.run_id, ["loss"])["loss"]))
"""


def database(world: World) -> Path:
    return world.root / "mlflow.db"


def _delete(world: World) -> Iterator[None]:
    database(world).unlink()
    yield


def _damage(world: World) -> Iterator[None]:
    database(world).write_bytes(b"no database at all" * 1000)
    yield
    database(world).unlink()


def _empty(world: World) -> Iterator[None]:
    database(world).write_bytes(b"")
    yield


def _lock(world: World) -> Iterator[None]:
    connection = sqlite3.connect(database(world), timeout=60)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.rollback()
    connection.close()


def _make_read_only(world: World) -> Iterator[None]:
    """For the superuser, whom permissions do not stop, the database becomes a link to a device that takes nothing."""
    if os.geteuid():
        database(world).chmod(0o400)
        yield
        database(world).chmod(0o600)
    else:
        database(world).rename(world.root / "kept.db")
        database(world).symlink_to("/dev/full")
        yield
        database(world).unlink()
        (world.root / "kept.db").rename(database(world))


FAULTS: dict[str, Callable[[World], Iterator[None]]] = {
    "MLflow's database deleted": _delete,
    "MLflow's database damaged": _damage,
    "MLflow's database emptied": _empty,
    "MLflow's database locked": _lock,
    "MLflow's database read-only": _make_read_only,
}


def _train(world: World, happens: Callable[[World], Iterator[None]], **environment: str) -> str | None:
    """A training in whose middle something happens; what went wrong, if anything did."""
    expected = world.contents(STAGE)
    shutil.rmtree(world.root / "models" / NAME)
    shutil.rmtree(world.root / ".triptych" / "runs" / NAME, ignore_errors=True)
    process = world.start("triptych", "train", NAME, **environment)
    checkpoint = f".triptych/checkpoints/{NAME}@*/index.json"
    if not wait_for(lambda: list(world.root.glob(checkpoint)) or process.poll() is not None, 120):
        return "the training never began"
    fault = contextmanager(happens)(world)
    with fault:
        output, _ = process.communicate(timeout=300)
    if process.returncode:
        return f"the training failed: {output[-LAST_WORDS:]}"
    if world.contents(STAGE) != expected:
        return "the training ended with other bytes"
    warnings = [line for line in output.splitlines() if "warning: " in line]
    if len(warnings) > 1 or "Traceback" in output:
        return f"more than one warning: {output[-LAST_WORDS:]}"
    return _make_whole(world)


def _make_whole(world: World) -> str | None:
    status, output = world.run("triptych", "sync")
    if status:
        return f"sync failed: {output[-LAST_WORDS:]}"
    _, output = world.run("triptych", "verify")
    wrong = [
        line for line in output.splitlines() if "MLflow" in line and line.startswith(("changed", "missing", "not"))
    ]
    return f"after sync MLflow is not whole: {wrong[0]}" if wrong else None


@contextmanager
def _server(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A tracking server of MLflow's own, in a process group of its own."""
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


def _with_server(world: World, folder: Path, number: signal.Signals) -> str | None:
    folder.mkdir()
    with _server(folder) as (server, address):

        def happens(_: World) -> Iterator[None]:
            os.killpg(server.pid, number)
            yield

        return _train(world, happens, MLFLOW_TRACKING_URI=address)


def _crowd(world: World) -> str | None:
    """Eight processes on one database."""
    names = [f"crowd-{number}" for number in range(PROCESSES)]
    processes = [world.start(sys.executable, "-c", LOG_POINTS, name) for name in names]
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        return f"a process gave up: {outputs}"
    status, output = world.run(sys.executable, "-c", COUNT_POINTS, *names)
    counts = [int(line) for line in output.splitlines() if line.isdigit()]
    return (
        None if status == 0 and counts == [POINTS] * PROCESSES else f"points arrived: {counts} {output[-LAST_WORDS:]}"
    )


def _dead_run(world: World) -> str | None:
    """A killed run says so once another one starts."""
    process = world.start("triptych", "train", NAME)
    wait_for(lambda: list(world.root.glob(f".triptych/checkpoints/{NAME}@*/index.json")), 120)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    world.run("triptych", "study", "dirac")
    with sqlite3.connect(database(world)) as connection:
        found = connection.execute("select status from runs where name = ? and status = 'KILLED'", [NAME]).fetchall()
    world.run("triptych", "train", NAME)
    return None if found else "the killed run is not marked"


def torture(world: World, folder: Path) -> list[Row]:
    """Every fault once."""
    trials: dict[str, Callable[[], str | None]] = {
        name: lambda happens=happens: _train(world, happens) for name, happens in FAULTS.items()
    }
    trials |= {
        "tracking server killed": lambda: _with_server(world, folder / "killed", signal.SIGKILL),
        "tracking server hangs": lambda: _with_server(world, folder / "hangs", signal.SIGSTOP),
        f"{PROCESSES} processes on one database": lambda: _crowd(world),
        "dead run marked": lambda: _dead_run(world),
    }
    rows = []
    for name, trial in trials.items():
        began = time.monotonic()
        row = Row(name)
        row.add(trial())
        say(f"{name}: {time.monotonic() - began:.0f} s")
        rows.append(row)
    return rows

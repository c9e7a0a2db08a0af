"""`triptych ui`: start MLflow's web interface on the project's database, reachable from this machine only."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, NoReturn
from urllib.error import URLError
from urllib.request import urlopen

from triptych.core.errors import TriptychError
from triptych.records.headlines import title_of
from triptych.records.mlflow.saved_view import address_of
from triptych.records.mlflow.store import ENVIRONMENT, Store
from triptych.repository.project import Project

HOST = "127.0.0.1"
TIMEOUT = 120  # seconds until the server must answer
STOP_TIMEOUT = 10  # seconds until the server must have ended
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def serve(project: Project, port: int) -> None:
    """Start the interface, print its address, again once it answers, and serve it until Ctrl-C or SIGTERM.

    Raises TriptychError if the port is in use, if the database cannot be used, if MLFLOW_TRACKING_URI names a server,
    or if MLflow's server ends by itself.
    """
    store = Store(project)
    if not store.is_local:
        raise TriptychError(f"MLFLOW_TRACKING_URI is set: your runs are at {store.address}; open it in a browser")
    _refuse_port_in_use(port)
    address = f"http://{HOST}:{port}"
    print(f"MLflow starts at {address}: this takes some seconds", flush=True)
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    with suppress(KeyboardInterrupt):
        _serve(store, port, address)


def _serve(store: Store, port: int, address: str) -> NoReturn:
    lines = _experiments(store, address)
    with TemporaryFile() as errors:
        server = _start_server(store, port, errors)
        try:
            _wait_for(server, address)
            if server.poll() is None:
                print(f"MLflow shows the runs at {address} (Ctrl-C stops it){lines}", flush=True)
            server.wait()
        finally:
            _stop(server)
        errors.seek(0)
        last = (errors.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
    raise TriptychError(f"MLflow's server has ended with status {server.returncode}: {last}")


def _experiments(store: Store, address: str) -> str:
    """Return `experiment_lines`. Raises TriptychError if the database is read-only or damaged."""
    database = store.database
    for place in (database.parent, database):  # SQLite writes a journal beside the database
        if place.exists() and not os.access(place, os.W_OK):
            raise TriptychError(f"{place} is read-only, and MLflow writes to it: make it writable")
    with store.reported():
        return experiment_lines(store, address)


def experiment_lines(store: Store, address: str) -> str:
    """Return one line per family with the address of its runs, because MLflow's front page does not lead to them."""
    names = [experiment.name for experiment in store.client.search_experiments(order_by=["name"])]
    shown = [(name, store.prepare_experiment(name)) for name in names if title_of(name) != name]
    return "".join(f"\n  {name:<11} {address}/{address_of(number)}" for name, number in shown)


def _refuse_port_in_use(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            problem = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise TriptychError(f"port {port} {problem}: choose another one with --port") from None


def _start_server(store: Store, port: int, errors: IO[bytes]) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", store.uri, "--artifacts-destination", store.artifacts.as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return subprocess.Popen(  # noqa: S603 (no word of the command is user input, except the port, a number)
        command, env=environment, cwd=store.project.home, stdout=subprocess.DEVNULL, stderr=errors
    )


def _stop(server: subprocess.Popen) -> None:
    """End the server, also if a further Ctrl-C arrives."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    server.terminate()
    try:
        server.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _wait_for(server: subprocess.Popen, address: str) -> None:
    """Wait until the server answers or has ended. Raises TriptychError if it takes too long."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            return
        try:
            with urlopen(f"{address}/health", timeout=1):  # noqa: S310 (on loopback)
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TriptychError(f"MLflow's server did not answer within {TIMEOUT} s: try again")

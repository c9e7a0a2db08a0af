"""`triptych ui`: MLflow's own interface on the project's records, on loopback only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

from triptych.core.errors import TriptychError
from triptych.records.headlines import titles
from triptych.records.mlflow.saved_view import address_of
from triptych.records.mlflow.store import QUIET, Store

if TYPE_CHECKING:
    from triptych.core.project import Project

HOST = "127.0.0.1"
PATIENCE = 120  # seconds until a server that does not answer is given up


def serve(project: Project, port: int) -> int:
    """Start the interface, say where it is once it answers, and stay until it ends; return its exit status.

    Raises TriptychError if the port is taken, or if the user's own tracking server is in use.
    """
    store = Store(project)
    if not store.local:
        raise TriptychError(f"MLFLOW_TRACKING_URI is set: your records are at {store.uri}, open that in a browser")
    _refuse_taken(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # the server must not outlive us
    signal.signal(signal.SIGINT, signal.default_int_handler)
    store.client.search_experiments(max_results=1)
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", store.uri, "--artifacts-destination", (project.home / "mlartifacts").as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, **QUIET, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    server = subprocess.Popen(  # noqa: S603 (words and paths of ours, a port that is a number)
        command, env=environment, cwd=project.home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    address = f"http://{HOST}:{port}"
    try:
        _wait(server, address)
        print(f"MLflow shows the runs at {address} (Ctrl-C stops it){places(store, address)}", flush=True)
        server.communicate()
    except KeyboardInterrupt:
        server.terminate()
        server.communicate()
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
    return server.returncode


def places(store: Store, address: str) -> str:
    """Where each family's runs are, by headline: the front page is made for other uses of MLflow."""
    names = [experiment.name for experiment in store.client.search_experiments(order_by=["name"])]
    shown = [(name, store.experiment_id(name)) for name in names if name in titles()]
    return "".join(f"\n  {name:<11} {address}/{address_of(number)}" for name, number in shown)


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise TriptychError(f"port {port} is in use: stop what uses it, or choose another with --port") from None


def _wait(server: subprocess.Popen, address: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if server.poll() is not None:
            last = (server.stderr.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise TriptychError(f"MLflow's server stopped at once: {last}")
        try:
            with urlopen(f"{address}/health", timeout=1):  # noqa: S310 (on loopback)
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TriptychError(f"MLflow's server did not answer within {PATIENCE} s")

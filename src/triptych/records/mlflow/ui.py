"""`triptych ui`: start MLflow's web interface on the project's database, reachable from this machine only."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from urllib.error import URLError
from urllib.request import urlopen

from triptych.core.errors import TriptychError
from triptych.core.project import Project
from triptych.records.headlines import title_of
from triptych.records.mlflow.saved_view import address_of
from triptych.records.mlflow.store import ENVIRONMENT, Store

HOST = "127.0.0.1"
TIMEOUT = 120  # seconds until the server must answer


def serve(project: Project, port: int) -> int:
    """Start the interface, print its address once it answers, and wait until it ends; return its exit status.

    Raises TriptychError if the port is in use, or if MLFLOW_TRACKING_URI names a server.
    """
    store = Store(project)
    if not store.is_local:
        raise TriptychError(f"MLFLOW_TRACKING_URI is set: your runs are at {store.uri}; open it in a browser")
    _refuse_port_in_use(port)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # to stop the server when this process is stopped
    signal.signal(signal.SIGINT, signal.default_int_handler)
    store.client.search_experiments(max_results=1)
    server, address = _start_server(store, port), f"http://{HOST}:{port}"
    try:
        _wait_for(server, address)
        print(f"MLflow shows the runs at {address} (Ctrl-C stops it){experiment_lines(store, address)}", flush=True)
        server.communicate()
    except KeyboardInterrupt:
        server.terminate()
        server.communicate()
        return 0
    finally:
        if server.poll() is None:
            server.terminate()
    return server.returncode


def experiment_lines(store: Store, address: str) -> str:
    """Return one line per family with the address of its runs, because MLflow's front page does not lead to them."""
    names = [experiment.name for experiment in store.client.search_experiments(order_by=["name"])]
    shown = [(name, store.experiment_id(name)) for name in names if title_of(name) != name]
    return "".join(f"\n  {name:<11} {address}/{address_of(number)}" for name, number in shown)


def _refuse_port_in_use(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            raise TriptychError(f"port {port} is in use: free it, or choose another one with --port") from None


def _start_server(store: Store, port: int) -> subprocess.Popen:
    command = [
        sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1",
        "--backend-store-uri", store.uri, "--artifacts-destination", store.artifacts.as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, **ENVIRONMENT, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    return subprocess.Popen(  # noqa: S603 (no word of the command is user input, except the port, a number)
        command, env=environment, cwd=store.project.home, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def _wait_for(server: subprocess.Popen, address: str) -> None:
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline:
        if server.poll() is not None:
            last = (server.stderr.read().decode(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise TriptychError(f"MLflow's server stopped during its start: {last}")
        try:
            with urlopen(f"{address}/health", timeout=1):  # noqa: S310 (on loopback)
                return
        except (URLError, ConnectionError, TimeoutError):
            time.sleep(0.1)
    raise TriptychError(f"MLflow's server did not answer within {TIMEOUT} s")

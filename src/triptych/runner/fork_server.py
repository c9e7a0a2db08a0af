"""Start stages as forks of one process that has imported all modules already. Linux only.

`triptych repro` starts the fork server. It imports the modules that stages use, and listens on a Unix socket in a
private folder. A command that finds the socket in `TRIPTYCH_FORK_SERVER` first proves that it shares with the server
what a fork cannot take over: the code, the interpreter's settings and the limits. Then it sends its arguments, folder,
environment and streams, and waits. The server forks a keeper, which forks a worker, which runs the command line. The
keeper forwards signals, kills the worker if the command dies, and reports the worker's exit status. If anything fails
before the worker exists, the command runs in its own process and prints nothing about it.

The server has its own session, so that signals reach a worker only through its command. It starts no threads, because
a fork would lose them.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import resource
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.process_ids import end_with_parent
from triptych.repository.code_hash import PACKAGE, closure

VARIABLE = "TRIPTYCH_FORK_SERVER"  # the path of the socket
COMMAND = "fork-server"
FREE_PREFIXES = ("DVC_", "TRIPTYCH_")  # no module reads these variables, or those below, when it is imported
FREE_VARIABLES = {"CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}
LATE_MODULES = (  # imported by other packages only when they are used
    "alembic.command", "alembic.config", "filelock", "jinja2", "matplotlib.backends.backend_agg", "matplotlib.figure",
    "mlflow.pyfunc", "mlflow.store.tracking.sqlalchemy_workspace_store", "pandas", "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin", "ruamel.yaml", "safetensors.torch", "sqlalchemy.dialects.sqlite",
    "torch_fidelity",
)  # fmt: skip
ARROW_WITHOUT_THREAD = ("JE_ARROW_MALLOC_CONF", "background_thread:false")  # pyarrow's allocator starts one otherwise
FORWARDED_SIGNALS = {number: number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)}
FORWARDED_SIGNALS[signal.SIGTSTP] = signal.SIGSTOP  # SIGTSTP has no effect outside the terminal's session
IMPORT_TIMEOUT = 600  # seconds until a command stops waiting for a server that is still importing
ACCEPTED, MAX_MESSAGE = b"+", 1 << 20


@contextmanager
def running(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Run a fork server for commands with this environment; yield the variables that lead commands to it.

    The variables are empty if there can be no server.
    """
    if sys.platform != "linux" or VARIABLE in environment:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="triptych-", ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "socket"
        try:
            server = _start(path, environment)
        except OSError:  # for example, the path is too long for a socket
            yield {}
            return
        os.register_at_fork(after_in_child=server.stdin.close)  # else a fork of ours would keep the server alive
        try:
            yield {VARIABLE: str(path)}
        finally:
            server.kill()
            server.communicate()


def _start(path: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(path))
        listener.listen()
        descriptor = listener.fileno()
        return subprocess.Popen(  # noqa: S603 (no shell)
            [sys.executable, "-P", "-m", "triptych", COMMAND, str(path.parent), str(descriptor)],
            env=environment,
            stdin=subprocess.PIPE,  # closes when this process ends; nothing is written to it
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[descriptor],
            start_new_session=True,
        )


def run_in_fork() -> int | None:
    """Run this command line in a fork of the server; return its exit status, or None if it must run in this process.

    Raises TriptychError if the keeper was killed.
    """
    path = os.environ.get(VARIABLE)
    if not path or sys.platform != "linux":
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        return _wait(connection) if _send_command(connection, path) else None


def _send_command(connection: socket.socket, path: str) -> bool:
    """Send the command line to the server; return whether the server has accepted it."""
    try:
        connection.settimeout(IMPORT_TIMEOUT)
        connection.connect(path)
        if not _is_same_user(connection):
            return False
        connection.send(conditions().encode())
        if connection.recv(MAX_MESSAGE) != ACCEPTED:
            return False
        command = {"arguments": sys.argv, "folder": str(Path.cwd()), "environment": dict(os.environ)}
        socket.send_fds(connection, [json.dumps(command).encode()], [0, 1, 2])
    except (OSError, TriptychError):  # TriptychError: a source file that changes just now
        return False
    return True


def _is_same_user(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] == os.getuid()


def conditions() -> str:
    """Return a hash of everything that a fork cannot take over from a command, and that both must therefore share."""
    umask = os.umask(0o077)
    os.umask(umask)
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    names = {name for name in os.environ if name not in FREE_VARIABLES and not name.startswith(FREE_PREFIXES)}
    return sha256_of_json(
        {
            "python": [sys.prefix, sys.version],
            "code": {str(path): sha256_of_file(path) for path in PACKAGE.rglob("*.py")},
            "environment": {name: os.environ[name] for name in names},
            "process": [umask, os.nice(0), sorted(os.sched_getaffinity(0)), limits],
        }
    )


def _wait(connection: socket.socket) -> int:
    """Forward signals until the worker has ended; return its exit status, or end by the same signal."""

    def forward(number: int, _: FrameType | None) -> None:
        with suppress(OSError):
            connection.send(bytes([FORWARDED_SIGNALS[signal.Signals(number)]]))
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in FORWARDED_SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, forward)
    connection.settimeout(None)
    answer = b""
    with suppress(ConnectionError):
        answer = connection.recv(MAX_MESSAGE)
    if not answer:
        raise TriptychError("the process that ran the command was killed: run the command again")
    status = int(answer)
    if status < 0:
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def serve(folder: str, descriptor: int) -> list[object]:
    """Fork a worker for each command, until `triptych repro` ends. Return only in a worker, which runs its command.

    Append what the command gives to `sys.exit` to the returned list: the worker then ends without freeing the
    interpreter's memory, which the system would first have to copy.
    """
    listener = socket.socket(fileno=descriptor)
    os.close(os.pidfd_open(os.getpid()))  # fails, and ends the server, if the kernel is too old
    status: list[object] = []
    atexit.register(_exit_at_once, status)  # exit functions run in reverse order: this one runs last
    expected = conditions()
    _import_everything()
    command, descriptors = _accept_commands(listener, folder, expected)
    _take_over(command, descriptors)
    return status


def _exit_at_once(status: list[object]) -> None:
    if status and isinstance(status[0], int | None):  # sys.exit(None) means success
        with suppress(OSError):  # then Python's own exit reports the problem
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status[0] or 0)


def _import_everything() -> None:
    import triptych
    from triptych.records.mlflow.store import import_client

    os.environ.setdefault(*ARROW_WITHOUT_THREAD)
    gc.disable()  # collections take a quarter of the time of these imports, and free hardly any memory
    import_client()
    modules = [module.name for module in pkgutil.walk_packages(triptych.__path__, "triptych.")]
    for name in modules:
        importlib.import_module(name)
    closure(modules)  # a worker then knows which files import which
    for name in LATE_MODULES:
        importlib.import_module(name)
    if threading.active_count() > 1:
        sys.exit("an import has started a thread, which a fork would lose")
    gc.freeze()  # a garbage collection in a worker would copy the memory that it visits
    gc.enable()


def _accept_commands(listener: socket.socket, folder: str, expected: str) -> tuple[dict[str, Any], list[int]]:
    """Fork a keeper and a worker for each command. Return the command and its streams, only in a worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # the system removes ended keepers
    while True:
        if sys.stdin in select.select([listener, sys.stdin], [], [])[0]:
            shutil.rmtree(folder, ignore_errors=True)
            os._exit(0)
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        message, descriptors = _receive_command(connection, expected)
        keeper, worker = os.getpid(), os.fork()
        if worker:
            _keep(connection, worker, descriptors)
        end_with_parent(keeper)
        connection.close()
        return json.loads(message), descriptors


def _receive_command(connection: socket.socket, expected: str) -> tuple[bytes, list[int]]:
    """Return the command and its streams; end this keeper if the conditions differ or the command has gone."""
    with suppress(OSError):
        if _is_same_user(connection) and connection.recv(MAX_MESSAGE).decode() == expected:
            connection.send(ACCEPTED)
            message, descriptors, _, _ = socket.recv_fds(connection, MAX_MESSAGE, 3)
            if len(descriptors) == 3:
                return message, descriptors
    os._exit(0)


def _keep(connection: socket.socket, worker: int, descriptors: list[int]) -> NoReturn:
    """Forward signals to the worker until it ends, or kill it if the command ends; report the exit status."""
    for descriptor in descriptors:
        os.close(descriptor)
    ended = os.pidfd_open(worker)
    while ended not in select.select([connection, ended], [], [])[0]:
        number = connection.recv(1)
        os.kill(worker, number[0] if number else signal.SIGKILL)
        if not number:
            break
    status = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    with suppress(OSError):
        connection.send(str(status).encode())
    os._exit(0)


def _take_over(command: dict[str, Any], descriptors: list[int]) -> None:
    """Give this process the streams, folder, environment and arguments of the command."""
    for stream, descriptor in enumerate(descriptors):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    del os.environ[VARIABLE]
    sys.argv = command["arguments"]

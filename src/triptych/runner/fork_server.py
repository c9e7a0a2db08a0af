"""Warm starts: a stage without the seconds that its imports take. Linux only.

`triptych repro` starts a helper, which imports whatever a stage may need and listens on a Unix socket in a private
folder. A command that finds the socket in `TRIPTYCH_WARM` proves that it shares with the helper what a fork cannot take
over (code, settings of the interpreter, limits), then hands over its arguments, folder, environment and streams, and
waits. The helper forks a keeper, and that a worker, which runs the very same command line. The keeper passes signals
on, kills the worker as soon as the command is gone, and says how the worker ended. Whatever goes wrong before the
worker exists makes the command start cold, without a word. The helper has a session of its own, so that what reaches a
worker always comes through its command; it starts no work, hence no threads that a fork would miss.
"""

from __future__ import annotations

import atexit
import ctypes
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

from triptych.core.code_hash import PACKAGE
from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file, sha256_of_json
from triptych.core.process_ids import COMMAND_VARIABLE

VARIABLE = "TRIPTYCH_WARM"
FREE = ("DVC_", "TRIPTYCH_")  # variables that nothing reads at import; what else differs is not for this helper
FREE_NAMES = {"CUDA_VISIBLE_DEVICES", "MLFLOW_TRACKING_URI", "PATH", "PWD", "OLDPWD", "SHLVL", "_"}
LATE = (  # imported while others work
    "alembic.command",
    "alembic.config",
    "filelock",
    "jinja2",
    "matplotlib.backends.backend_agg",
    "matplotlib.figure",
    "mlflow.pyfunc",
    "mlflow.store.tracking.sqlalchemy_workspace_store",
    "pandas",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "ruamel.yaml",
    "safetensors.torch",
    "sklearn.datasets",
    "sqlalchemy.dialects.sqlite",
    "torch_fidelity",
)
PASSED_ON = {number: number for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCONT)}
PASSED_ON[signal.SIGTSTP] = signal.SIGSTOP  # outside the terminal's session SIGTSTP stops nothing
PATIENCE = 60  # seconds for a helper that is still importing
ACCEPTED, MESSAGE = b"+", 1 << 20
PR_SET_PDEATHSIG = 1


def conditions() -> str:
    """A hash of what a fork cannot take over from a command, and which the two must therefore share."""
    umask = os.umask(0o077)
    os.umask(umask)
    limits = [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT_")]
    bound = {name for name in os.environ if name not in FREE_NAMES and not name.startswith(FREE)}
    found = {
        "python": [sys.prefix, sys.version],
        "code": {str(path): sha256_of_file(path) for path in PACKAGE.rglob("*.py")},
        "environment": {name: os.environ[name] for name in bound},
        "process": [umask, os.nice(0), sorted(os.sched_getaffinity(0)), limits],
    }
    return sha256_of_json(found)


@contextmanager
def helper(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """A helper for commands of this environment, while the block runs; yield the variables that lead to it."""
    if sys.platform != "linux" or VARIABLE in environment:
        yield {}
        return
    with tempfile.TemporaryDirectory(prefix="triptych-", ignore_cleanup_errors=True) as folder:
        place = Path(folder) / "socket"
        try:
            process = _start(place, environment)
        except OSError:  # such as a path that is too long for a socket
            yield {}
            return
        os.register_at_fork(after_in_child=process.stdin.close)  # the helper goes with us, not with a fork of ours
        try:
            yield {VARIABLE: str(place)}
        finally:
            process.kill()
            process.communicate()


def _start(place: Path, environment: Mapping[str, str]) -> subprocess.Popen:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(place))
        listener.listen()
        number = str(listener.fileno())
        return subprocess.Popen(  # noqa: S603 (our own words)
            [
                sys.executable,
                "-P",
                "-c",
                "from triptych.runner.fork_server import main; main()",
                str(place.parent),
                number,
            ],
            env=environment,
            stdin=subprocess.PIPE,  # it reads nothing, and sees us end
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=[listener.fileno()],
            start_new_session=True,
        )


def run_warm() -> int | None:
    """Run this very command line in a fork of the helper; return its exit status, or None where it must start cold.

    Raises TriptychError if the fork's keeper was killed.
    """
    place = os.environ.get(VARIABLE)
    if not place or sys.platform != "linux":
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        return _wait(connection) if _hand_over(connection, place) else None


def _hand_over(connection: socket.socket, place: str) -> bool:
    """Give the command to the helper, if one answers that shares our conditions; tell whether it has it now."""
    try:
        connection.settimeout(PATIENCE)
        connection.connect(place)
        if not _is_ours(connection):
            return False
        connection.send(conditions().encode())
        if connection.recv(MESSAGE) != ACCEPTED:
            return False
        environment = dict(os.environ) | {COMMAND_VARIABLE: str(os.getpid())}
        command = {"words": sys.argv, "folder": str(Path.cwd()), "environment": environment}
        socket.send_fds(connection, [json.dumps(command).encode()], [0, 1, 2])
    except OSError:
        return False
    return True


def _is_ours(connection: socket.socket) -> bool:
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", credentials)[1] == os.getuid()


def _wait(connection: socket.socket) -> int:
    """Pass signals on until the worker has ended, and end as it did."""

    def pass_on(number: int, _: FrameType | None) -> None:
        with suppress(OSError):
            connection.send(bytes([PASSED_ON[signal.Signals(number)]]))
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)

    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, pass_on)
    connection.settimeout(None)
    answer = b""
    with suppress(ConnectionError):
        answer = connection.recv(MESSAGE)
    if not answer:
        raise TriptychError("the process that did the work was killed: run the command again")
    status = int(answer)
    if status < 0:
        with suppress(OSError):  # SIGKILL has no handler to reset
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    return status


def main() -> None:
    """The helper; and, once this returns to a worker, the command."""
    folder, listener = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    os.close(os.pidfd_open(os.getpid()))  # no helper where the kernel is older than this
    status: list[int] = []
    atexit.register(_leave, status)  # before all others, hence run after them
    shared = conditions()
    _import_everything()
    _take_over(*_serve(listener, folder, shared))
    from triptych.cli.main import main as run

    try:
        run()
    except SystemExit as end:
        status += [end.code] if isinstance(end.code, int) else []
        raise


def _leave(status: list[int]) -> None:
    """End a worker without taking the interpreter apart, for which the fork would have to copy all of it."""
    if status:
        with suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status[0])


def _import_everything() -> None:
    import triptych
    from triptych.records.mlflow.store import import_client

    import_client()
    for module in pkgutil.walk_packages(triptych.__path__, "triptych."):
        importlib.import_module(module.name)
    for name in LATE:
        importlib.import_module(name)
    if threading.active_count() > 1:
        sys.exit("a thread would not survive a fork")
    gc.freeze()  # a collection in a worker would copy what it looks at


def _serve(listener: socket.socket, folder: str, shared: str) -> tuple[dict[str, Any], list[int]]:
    """Fork a keeper for every command that comes, until `triptych repro` is gone. Returns only in a worker."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for a keeper
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
        message, descriptors = _receive(connection, shared)
        keeper, worker = os.getpid(), os.fork()
        if worker:
            _keep(connection, worker, descriptors)
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)
        connection.close()
        return json.loads(message), descriptors


def _receive(connection: socket.socket, shared: str) -> tuple[bytes, list[int]]:
    """The command, if it comes under the helper's own conditions and still wants to run."""
    with suppress(OSError):
        if _is_ours(connection) and connection.recv(MESSAGE).decode() == shared:
            connection.send(ACCEPTED)
            message, descriptors, _, _ = socket.recv_fds(connection, MESSAGE, 3)
            if len(descriptors) == 3:
                return message, descriptors
    os._exit(0)


def _keep(connection: socket.socket, worker: int, descriptors: list[int]) -> NoReturn:
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
    """Be the command: its streams, folder, environment and arguments."""
    for stream, descriptor in enumerate(descriptors):
        os.dup2(descriptor, stream)
        os.close(descriptor)
    sys.stdout.reconfigure(line_buffering=sys.stdout.isatty())
    os.chdir(command["folder"])
    os.environ.clear()
    os.environ.update(command["environment"])
    del os.environ[VARIABLE]
    sys.argv = command["words"]

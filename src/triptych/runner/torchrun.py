"""A training in several processes on this machine: `torchrun`, started by the stage.

The stage is torchrun's agent: it starts the processes and waits, and when one of them dies, or a signal comes, it ends
the others. Each of them, a fresh interpreter, runs this module. What goes wrong in one is left to the stage to say, so
that it is said once.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.process_ids import COMMAND_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Collection

    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

LAUNCHER_VARIABLE = "TRIPTYCH_LAUNCHER"  # the stage's process
ENDING = (
    signal.SIGTERM,
    signal.SIGINT,
    signal.SIGHUP,
    signal.SIGQUIT,
)  # what ends all, unless `nohup` or a shell has it ignored
PR_SET_PDEATHSIG = 1


def launch(experiment: str, processes: int) -> None:
    """Train the experiment in so many processes. Raises TriptychError if one fails, and KeyboardInterrupt by Ctrl-C."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    if sys.platform == "linux":
        os.environ.setdefault(COMMAND_VARIABLE, str(os.getpid()))  # who waits for us waits for them
    failures: Collection[ProcessFailure] = ()
    ended: signal.Signals | None = None
    logging.disable()  # torchrun's own account of what we say in a sentence
    with TemporaryDirectory(prefix="triptych-", ignore_cleanup_errors=True) as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=processes,
            run_id=f"{experiment}-{os.getpid()}",
            rdzv_backend="c10d",
            rdzv_endpoint="localhost:0",
            local_addr="localhost",
            max_restarts=0,
            signals_to_handle=",".join(each.name for each in ENDING if signal.getsignal(each) != signal.SIG_IGN),
            logs_specs=DefaultLogsSpecs(log_dir=folder),
        )
        try:
            elastic_launch(config, sys.executable)("-P", "-m", "triptych.runner.torchrun", experiment)
        except ChildFailedError as error:
            failures = error.failures.values()
        except SignalException as error:
            ended = error.sigval
    logging.disable(logging.NOTSET)
    if ended == signal.SIGINT:
        raise KeyboardInterrupt
    if ended:
        signal.signal(ended, signal.SIG_DFL)
        os.kill(os.getpid(), ended)
    if failures:
        explain(experiment, processes, failures)


def explain(experiment: str, processes: int, failures: Collection[ProcessFailure]) -> NoReturn:
    """Raise what the first failure was; those that it drew after it failed by torchrun's signal, or for want of it."""
    for failure in failures:
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            raise TriptychError(
                f"{experiment}: one of its {processes} processes was ended by {failure.signal_name()}, and the others "
                "with it: run it again, and it goes on from its last checkpoint"
            )
    told = [failure for failure in failures if isinstance(failure.error_file_data.get("message"), dict)]
    for failure in told:
        kind, _, words = failure.error_file_data["message"]["message"].partition(": ")
        if kind in (TriptychError.__name__, DivergenceError.__name__):
            raise TriptychError(words)
    for failure in told:
        print(failure.error_file_data["message"]["extraInfo"]["py_callstack"], file=sys.stderr)
    raise RuntimeError(f"{experiment}: one of its {processes} processes failed")


def main() -> None:
    """One of the processes."""
    launcher = int(os.environ[LAUNCHER_VARIABLE])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != launcher:
        sys.exit(1)
    try:
        from triptych.cli.stages import open_project, train_here

        train_here(*open_project(), sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(1)
    except Exception as error:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
        sys.exit(1)


if __name__ == "__main__":
    main()

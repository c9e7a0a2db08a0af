"""Train in several processes on this machine, with PyTorch's `torchrun`.

The command `triptych train` is torchrun's agent: it starts the processes, waits, and ends all of them if one dies or if
it receives a signal. Each process runs `triptych train` in a new interpreter. Only the agent prints errors, so that
each error is printed once.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from triptych.core.errors import DivergenceError, TriptychError
from triptych.core.process_ids import end_with_parent
from triptych.runner import fork_server

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure
    from torch.distributed.launcher.api import LaunchConfig

LAUNCHER_VARIABLE = "TRIPTYCH_LAUNCHER"  # the process id of the command that started this process
END_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def launch(experiment: str, processes: int) -> None:
    """Train the experiment in this number of processes.

    Raises TriptychError if one of them fails, and KeyboardInterrupt after Ctrl-C.
    """
    from torch.distributed.elastic.multiprocessing import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import elastic_launch

    os.environ.pop(fork_server.VARIABLE, None)  # a fork would not be a child of the agent
    os.environ[LAUNCHER_VARIABLE] = str(os.getpid())
    logging.disable()  # torchrun logs the errors that this module reports in one sentence
    try:
        with TemporaryDirectory(prefix="triptych-", ignore_cleanup_errors=True) as folder:
            config = _configuration(f"{experiment}-{os.getpid()}", processes, folder)
            elastic_launch(config, sys.executable)("-P", "-m", "triptych", "train", experiment)
    except ChildFailedError as error:
        raise_first_failure(experiment, processes, error.failures.values())
    except SignalException as error:
        if error.sigval == signal.SIGINT:
            raise KeyboardInterrupt from None
        signal.signal(error.sigval, signal.SIG_DFL)
        os.kill(os.getpid(), error.sigval)
    finally:
        logging.disable(logging.NOTSET)


def _configuration(run: str, processes: int, log_folder: str) -> LaunchConfig:
    """Return torchrun's configuration for one machine. Signals that `nohup` or a shell ignores stay ignored."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
    from torch.distributed.launcher.api import LaunchConfig

    handled = [number.name for number in END_SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
    return LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=run,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        signals_to_handle=",".join(handled),
        logs_specs=DefaultLogsSpecs(log_dir=log_folder),
    )


def raise_first_failure(experiment: str, processes: int, failures: Collection[ProcessFailure]) -> NoReturn:
    """Raise the error of the process that failed first.

    The other processes failed because torchrun sent them SIGTERM, or because they lost the connection.
    """
    for failure in failures:
        if failure.exitcode < 0 and failure.exitcode != -signal.SIGTERM:
            raise TriptychError(
                f"{experiment}: one of its {processes} processes was ended by {failure.signal_name()}, and the others "
                "with it: run it again, and it continues from its last checkpoint"
            ) from None
    recorded = [failure for failure in failures if isinstance(failure.error_file_data.get("message"), dict)]
    for failure in recorded:
        kind, _, message = failure.error_file_data["message"]["message"].partition(": ")
        if kind in (TriptychError.__name__, DivergenceError.__name__):
            raise TriptychError(message) from None
    if all(failure.exitcode == -signal.SIGTERM for failure in failures):
        raise TriptychError(
            f"{experiment}: its {processes} processes were ended by SIGTERM: run it again, and it continues from its "
            "last checkpoint"
        ) from None
    for failure in recorded:
        print(failure.error_file_data["message"]["extraInfo"]["py_callstack"], file=sys.stderr)
    raise RuntimeError(f"{experiment}: one of its {processes} processes failed") from None


@contextmanager
def errors_for_launcher() -> Iterator[None]:
    """In a process that `launch` has started: record an error for the launcher, and end when the launcher ends.

    In any other process nothing happens.
    """
    launcher = os.environ.get(LAUNCHER_VARIABLE)
    if not launcher:
        yield
        return
    end_with_parent(int(launcher))
    try:
        yield
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C arrives twice: from the terminal and from the launcher
        sys.exit(1)
    except Exception as error:
        from torch.distributed.elastic.multiprocessing.errors import get_error_handler

        get_error_handler().record_exception(error)
        sys.exit(1)

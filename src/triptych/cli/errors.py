"""How the command line ends after an error or Ctrl-C."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from triptych.core.errors import TriptychError
from triptych.core.process_ids import STAGE_VARIABLE
from triptych.core.progress import WORKERS_VARIABLE
from triptych.repository.project import Project

INTERRUPTED = 130  # the exit status after Ctrl-C


@contextmanager
def errors_in_one_sentence() -> Iterator[None]:
    """Print a user's error or Ctrl-C as one sentence, and restore the results that DVC removed before this stage."""
    try:
        yield
    except TriptychError as error:
        _end(str(error), 1)
    except PermissionError as error:
        if error.filename is None:  # a bug of ours
            _restore_earlier_results()
            raise
        _end(f"{error.filename} cannot be read or written: change its permissions", 1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        stopped = "stopped; the same command continues a training from its last checkpoint"
        _end("" if WORKERS_VARIABLE in os.environ else stopped, INTERRUPTED)  # `triptych repro` prints it once
    except Exception:  # a bug of ours
        _restore_earlier_results()
        raise


def _end(sentence: str, status: int) -> None:
    if sentence:
        click.echo(f"triptych: {sentence}", err=True)
    _restore_earlier_results()
    sys.exit(status)


def _restore_earlier_results() -> None:
    from triptych.runner.restore import restore_outputs

    if not (stage := os.environ.get(STAGE_VARIABLE)):
        return
    try:
        restore_outputs(Project.find(Path.cwd()).root, stage)
    except TriptychError as error:
        click.echo(f"triptych: the earlier results are still in DVC's cache ({error})", err=True)

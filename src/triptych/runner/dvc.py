"""DVC as a program: run its commands in the project, and find images that changed where DVC cannot see it."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.repository.project import Project
from triptych.runner.display import REFRESH_SECONDS, Display

if TYPE_CHECKING:
    from triptych.settings.params import Settings

NO_TELEMETRY = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
DVC = """
import sys
from triptych.core.process_ids import end_with_parent
end_with_parent(int(sys.argv.pop(1)))
sys.argv[0] = "dvc"
if "repro" in sys.argv[1:3]:  # after --wait-for-lock, too
    from triptych.runner.dvc_inputs import record_inputs_at_start
    record_inputs_at_start()
from dvc.cli import main
sys.exit(main())
"""
TESTED_VERSIONS = ("3.67.1",)  # the tests of runner/parallel.py, which uses private parts of DVC, pass with these


def is_tested() -> bool:
    """Return whether private parts of the installed DVC may be used."""
    return importlib.metadata.version("dvc") in TESTED_VERSIONS


def run_dvc(project: Project, *arguments: str) -> int:
    """Run a DVC command in the project; return its exit status."""
    return _wait(_start(project, arguments, {}))


def run_stages(project: Project, display: Display, *arguments: str, **variables: str) -> int:
    """Run `dvc repro` with these arguments and environment variables; return its exit status.

    The display shows the stages that it runs. Raises KeyboardInterrupt after Ctrl-C, when DVC has ended.
    """
    output = display.follow("dvc")
    with Path(output).open("ab") if output else nullcontext() as file:
        process = _start(project, ["repro", *arguments], {**variables, **display.variables}, file)
    interrupted = False
    while process.poll() is None:
        try:
            display.refresh()
            with suppress(subprocess.TimeoutExpired):
                process.wait(REFRESH_SECONDS)
        except KeyboardInterrupt:
            interrupted = True
    display.ended("dvc", failed=process.returncode != 0, interrupted=interrupted)
    if interrupted:
        raise KeyboardInterrupt
    return process.returncode


def _start(
    project: Project, arguments: Sequence[str], variables: Mapping[str, str], output: IO[bytes] | None = None
) -> subprocess.Popen:
    """Start a DVC command, which ends with this process; what it and its stages print goes to the file `output`."""
    command = [sys.executable, "-P", "-c", DVC, str(os.getpid()), *arguments]
    environment = {**os.environ, **NO_TELEMETRY, **variables}
    return subprocess.Popen(command, cwd=project.root, env=environment, stdout=output, stderr=output)  # noqa: S603


def _wait(process: subprocess.Popen) -> int:
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Ctrl-C also reaches DVC and its stage; wait until both have cleaned up
            continue


def stale_sources(project: Project, settings: Settings, targets: Sequence[str]) -> list[str]:
    """Return the data sets whose raw images are out of date, among those that some arguments of `dvc repro` need.

    DVC checks neither the user's image folder nor the variable `TRIPTYCH_DATA`. Raises TriptychError if own images are
    missing.
    """
    from triptych.data.raw_images import read_origin
    from triptych.sources.load import resolve_source
    from triptych.sources.user_folder import folder_checksum

    stale = []
    for name in settings.datasets_of(targets):
        dataset = settings.dataset(name)
        if dataset.own:
            path = project.data / dataset.images
            if not path.exists():
                raise TriptychError(
                    f"params.yaml: datasets.{name}.images: {path} does not exist: put your images there"
                )
        elif project.raw(name).exists():
            kind = resolve_source(dataset.images, settings.active.source)
            try:
                fetched, source = read_origin(project.raw(name))
            except TriptychError:  # the file is damaged: fetch writes it again
                stale.append(name)
                continue
            if fetched != kind or (kind == "folder" and folder_checksum(dataset.images) not in source):
                stale.append(name)
    return stale

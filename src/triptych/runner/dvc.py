"""DVC as a program: run its commands in the project, and find images that changed where DVC cannot see it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from triptych.core.project import Project
from triptych.data.raw_images import read_origin
from triptych.data.sources import resolve_source
from triptych.data.user_folder import folder_checksum

if TYPE_CHECKING:
    from triptych.settings.params import Settings

NO_TELEMETRY = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}
DVC = """
import sys
from triptych.core.process_ids import end_with_parent
end_with_parent(int(sys.argv.pop(1)))
sys.argv[0] = "dvc"
from dvc.cli import main
sys.exit(main())
"""
TESTED_VERSIONS = ("3.67.1",)  # the tests of runner/parallel.py, which uses private parts of DVC, pass with these


def run_dvc(project: Project, *arguments: str, **variables: str) -> int:
    """Run a DVC command in the project with these environment variables added; return its exit status."""
    command = [sys.executable, "-P", "-c", DVC, str(os.getpid()), *arguments]
    environment = {**os.environ, **NO_TELEMETRY, **variables}
    process = subprocess.Popen(command, cwd=project.root, env=environment)  # noqa: S603 (no shell)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # Ctrl-C also reaches DVC and its stage; wait until both have cleaned up
            continue


def stale_sources(project: Project, settings: Settings) -> list[str]:
    """Return the data sets whose raw images are out of date.

    DVC checks neither the user's image folder nor the variable `TRIPTYCH_DATA`.
    """
    kind, stale = resolve_source(settings.active.source), []
    for name, dataset in settings.datasets.items():
        if project.raw(name).exists():
            fetched, source = read_origin(project.raw(name))
            if fetched != kind or (kind == "folder" and folder_checksum(dataset.images) not in source):
                stale.append(name)
    return stale

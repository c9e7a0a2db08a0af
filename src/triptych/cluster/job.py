"""A job: a checkout of its own on a node, in which DVC runs some stages. submitit calls it there."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from glob import escape
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cluster.results import add_lock_entries, check_out_inputs, save_result
from triptych.cluster.submission import Submission, copy_settings
from triptych.core.errors import TriptychError
from triptych.core.files import copy_file
from triptych.records.mlflow.store import URI_VARIABLE
from triptych.repository.dvc_cache import cache_folder
from triptych.repository.project import CHECKPOINTS_VARIABLE, Project
from triptych.runner.dvc import NO_TELEMETRY

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SCRATCH_VARIABLE = "SLURM_TMPDIR"  # on some clusters, a folder on the node's own disk
RESTARTS_VARIABLE = "SLURM_RESTART_COUNT"  # SLURM sets it when it starts a job again
# SLURM announces a preemption with signals, which must not stop the stage: the job stops it when it is requeued.
IGNORE_SIGNALS = ["sh", "-c", 'trap "" TERM CONT USR1 USR2; exec "$@"', "sh"]


@dataclass
class Job:
    """Run stages one after the other. If SLURM starts the job again, on any node, it continues where it stopped."""

    home: Project
    """The project from which the job was submitted."""
    commit: str
    submission: Submission
    name: str
    stages: Sequence[str]
    shared: Sequence[str]
    """Stages that another job of the submission has run before this one starts."""
    order: Sequence[str]
    """All stages of the pipeline, in the order of the lock file."""
    scratch: Path | None = None
    _process: subprocess.Popen | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        """Run the stages that have no result yet. Raises TriptychError if a stage fails."""
        place = self.scratch or Path(os.environ.get(SCRATCH_VARIABLE) or tempfile.gettempdir())
        prefix = f"triptych-{self.submission.folder.name}-{self.name}."
        for left in place.glob(f"{escape(prefix)}*"):
            shutil.rmtree(left, ignore_errors=True)  # an earlier start has left it
        place.mkdir(parents=True, exist_ok=True)
        # A new name: on some network file systems, files of a killed process and DVC's locks stay in the old folder.
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        try:
            self._run_stages(check_out(self.home, self.commit, folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _run_stages(self, project: Project) -> None:
        copy_settings(self.submission.folder, project.root)
        add_lock_entries(project, self.submission, [*self.shared, *self.stages], self.order)
        checkpoints = self.submission.checkpoints(self.name)
        if int(os.environ.get(RESTARTS_VARIABLE, "0")):
            # The earlier start has ended. On some network file systems its locks stay if the node lost power.
            for lock in checkpoints.glob("*.lock"):
                lock.unlink(missing_ok=True)
        for stage in self.stages:
            result = self.submission.result(stage)
            if not result.exists():
                check_out_inputs(project, stage)
                self._run(project, stage, checkpoints)
                for entry in (project.private / "journal").rglob("*.json"):
                    copy_file(entry, self.home.private / entry.relative_to(project.private))
                save_result(project, stage, result)

    def checkpoint(self) -> DelayedSubmission:
        """Stop the running stage, and return the job to be queued again. submitit calls this method on a signal.

        It interrupts `Popen.wait`, which holds a lock: wait for DVC without it.
        """
        from submitit.helpers import DelayedSubmission

        if self._process:
            with suppress(ProcessLookupError, ChildProcessError):
                os.killpg(self._process.pid, signal.SIGKILL)
                os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        return DelayedSubmission(replace(self))

    def _run(self, project: Project, stage: str, checkpoints: Path) -> None:
        command = [*IGNORE_SIGNALS, sys.executable, "-m", "dvc", "repro", "--single-item", stage]
        self._process = subprocess.Popen(  # noqa: S603 (the command and the names of our stages)
            command, cwd=project.root, env=stage_environment(checkpoints), start_new_session=True
        )
        if self._process.wait():
            raise TriptychError(f"{stage} failed: the message above says why")
        self._process = None


def check_out(home: Project, commit: str, folder: Path) -> Project:
    """Clone the project at that commit into `folder`; the clone uses the DVC cache of `home`."""
    from dvc.config import Config

    top, inside = (_git(home.root, "rev-parse", word) for word in ("--show-toplevel", "--show-prefix"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    _git(folder.parent, "clone", "--quiet", "--no-checkout", top, str(folder))
    _git(folder, "checkout", "--quiet", "--detach", commit)
    project = Project(folder / inside)
    with Config(str(project.root / ".dvc")).edit("local") as config:
        config["cache"]["dir"] = str(cache_folder(home.root))
    return project


def stage_environment(checkpoints: Path) -> dict[str, str]:
    """Return the environment of a stage in a job.

    The stage writes its checkpoints to a folder that all nodes see. Its MLflow records stay in the checkout, because
    SQLite on a network file system does not support many writers. `triptych collect` rebuilds the records.
    """
    inherited = {name: value for name, value in os.environ.items() if name != URI_VARIABLE}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return inherited | NO_TELEMETRY | {"PATH": path, CHECKPOINTS_VARIABLE: str(checkpoints)}


def _git(folder: Path, *words: str) -> str:
    command = ["git", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode:
        raise TriptychError(f"`git {' '.join(words)}` failed in {folder}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()

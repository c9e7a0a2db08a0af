"""A job: a checkout of its own, in which some stages are made; what submitit runs on a node."""

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
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cluster.checkpoints import Courier, fetch_checkpoints
from triptych.cluster.remote import Shelf, remote_errors
from triptych.cluster.stages import bring_inputs, open_repo, restore, send
from triptych.core.errors import TriptychError
from triptych.core.files import copy_file
from triptych.core.project import Project
from triptych.records.mlflow.store import URI_VARIABLE
from triptych.runner.repro import DVC_QUIET

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SETTINGS = ("params.yaml", "dvc.lock")  # they need not be committed: they travel with the submission
SCRATCH = "SLURM_TMPDIR"  # where a cluster has it: a folder on the node's own disk
# A stage goes on through the signals with which SLURM announces a preemption: the job ends it, once the time has come.
DEAF = ["sh", "-c", 'trap "" TERM CONT USR1 USR2; exec "$@"', "sh"]


def settings_of(submission: str) -> str:
    """Where the remote has the settings and `dvc.lock` of a submission."""
    return f"submissions/{submission}/settings"


def journal_of(submission: str, name: str) -> str:
    """Where the remote has what the journal of a job holds."""
    return f"submissions/{submission}/journal/{name}"


def done_of(submission: str, name: str) -> str:
    """Where the remote says that a job is through."""
    return f"submissions/{submission}/done/{name}"


@dataclass
class Job:
    """Makes stages, one after the other. Called again, on whatever machine, it goes on where it was."""

    home: Path
    """The project that it was submitted from, to clone; and whose remote it uses."""
    commit: str
    submission: str
    name: str
    stages: Sequence[str]
    order: Sequence[str]
    """All stages as DVC takes them."""
    scratch: Path | None = None
    shared: bool = False
    """Whether the other jobs build on what this one makes."""
    _running: subprocess.Popen | None = field(default=None, init=False, repr=False)
    _courier: Courier | None = field(default=None, init=False, repr=False)

    def __call__(self) -> None:
        folder = self._folder()
        shutil.rmtree(folder, ignore_errors=True)  # of an earlier start on this node
        project = check_out(self.home, self.commit, folder)
        shelf = self._begin(project)
        for stage in self.stages:
            self._make(project, shelf, stage)
        with tempfile.TemporaryDirectory() as place:
            copy_settings(project.root, Path(place))
            for name in [settings_of(self.submission)] * self.shared + [done_of(self.submission, self.name)]:
                shelf.put(Path(place), name)
        shutil.rmtree(folder, ignore_errors=True)

    def checkpoint(self) -> DelayedSubmission:
        """What submitit calls when the job has to give its node back: push the last checkpoint, and start again."""
        from submitit.helpers import DelayedSubmission

        self._stop()
        return DelayedSubmission(replace(self))

    def _begin(self, project: Project) -> Shelf:
        """Take over settings, and what an earlier start of this job has entered into the journal."""
        with open_repo(project) as repo:
            shelf = Shelf.of(repo)
        with tempfile.TemporaryDirectory() as place:
            if not shelf.get(settings_of(self.submission), Path(place) / "settings"):
                raise TriptychError(f"the remote does not hold submission {self.submission}: submit again")
            copy_settings(Path(place) / "settings", project.root)
        shelf.get(journal_of(self.submission, self.name), project.private / "journal")
        return shelf

    def _make(self, project: Project, shelf: Shelf, stage: str) -> None:
        courier = Courier(shelf, project, stage)
        with remote_errors(), open_repo(project) as repo:
            bring_inputs(repo, stage)
            done = restore(repo, stage, self.order)
        if not done:
            for name in fetch_checkpoints(shelf, project, stage):
                print(f"{stage} goes on from {name}", flush=True)
            self._run(project, stage, courier)
            shelf.put(project.private / "journal", journal_of(self.submission, self.name))
            with remote_errors(), open_repo(project) as repo:
                send(repo, stage)
        courier.forget()

    def _run(self, project: Project, stage: str, courier: Courier) -> None:
        command = [*DEAF, sys.executable, "-m", "dvc", "repro", "--single-item", stage]
        self._running, self._courier = (
            subprocess.Popen(command, cwd=project.root, env=variables(project), start_new_session=True),  # noqa: S603
            courier,
        )
        courier.start()
        _wait(self._running)
        courier.finish()
        if self._running.wait():
            raise TriptychError(f"{stage} has failed: the reason is above")
        self._running = self._courier = None

    def _stop(self) -> None:
        """End the stage, if one is running, and push its last checkpoint."""
        if self._running and self._courier:
            with suppress(ProcessLookupError):
                os.killpg(self._running.pid, signal.SIGKILL)
            _wait(self._running)
            self._courier.finish()

    def _folder(self) -> Path:
        place = self.scratch or Path(os.environ.get(SCRATCH) or tempfile.gettempdir())
        return place / f"triptych-{self.submission}-{self.name}"


def _wait(process: subprocess.Popen) -> None:
    """Until it has ended. A handler of signals may do so, too, while the program it interrupts is waiting here."""
    with suppress(ChildProcessError):
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)


def variables(project: Project) -> dict[str, str]:
    """The environment of a stage: the code of the checkout, and records of its own, which nobody shares."""
    paths = {
        "PATH": (str(Path(sys.executable).parent), os.environ["PATH"]),
        "PYTHONPATH": (str(project.root / "src"), os.environ.get("PYTHONPATH", "")),
    }
    inherited = {name: value for name, value in os.environ.items() if name != URI_VARIABLE}
    return inherited | DVC_QUIET | {name: os.pathsep.join(filter(None, parts)) for name, parts in paths.items()}


def check_out(home: Path, commit: str, folder: Path) -> Project:
    """The project at that commit, in a clone of its own that uses the remote of `home`."""
    from dvc.config import Config

    top, inside = (_git(home, "rev-parse", word) for word in ("--show-toplevel", "--show-prefix"))
    folder.parent.mkdir(parents=True, exist_ok=True)
    _git(folder.parent, "clone", "--quiet", "--no-checkout", top, str(folder))
    _git(folder, "checkout", "--quiet", "--detach", commit)
    project = Project(folder / inside)
    here = Config(str(home / ".dvc"))
    name = here["core"]["remote"]
    with Config(str(project.root / ".dvc")).edit("local") as config:  # paths that are relative to home's folder
        config["core"]["remote"] = name
        config["remote"][name] = {key: _plain(value) for key, value in here["remote"][name].items()}
    return project


def copy_settings(source: Path, target: Path) -> None:
    """Copy the files that travel with a submission, those that there are."""
    for name in SETTINGS:
        if (source / name).exists():
            copy_file(source / name, target / name)


def _plain(value: object) -> object:
    """A path of DVC's as one that it does not write as a relative one."""
    return str(value) if isinstance(value, str) else value


def _git(folder: Path, *words: str) -> str:
    done = subprocess.run(  # noqa: S603 (a git on the user's path, with words of ours)
        ["git", *words],  # noqa: S607
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise TriptychError(f"`git {' '.join(words)}` fails in {folder}: {' '.join(done.stderr.split())}")
    return done.stdout.strip()

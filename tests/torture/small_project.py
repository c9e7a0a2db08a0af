"""A small project for the torture tests: all stages of all families, some seconds each."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from conftest import copy_project, environment, shrink, with_classifiers

KEPT = ("vae-20d", "gan-mnist", "cifar10-jsd-2", "realnvp-mnist", "planar-samples", "dirac")
TIMEOUT = 300  # seconds for a stage that takes a second or two
EXCERPT = 300  # characters of output in the report of a problem


def small_settings(data: dict) -> dict:
    """Shrink the settings so that each training takes some seconds and writes a checkpoint at every epoch."""
    with_classifiers(shrink(data, KEPT))
    epochs = {"vae-20d": 60, "gan-mnist": 60, "cifar10-jsd-2": 12, "realnvp-mnist": 40}
    for name, budget in epochs.items():
        data["experiments"][name]["epochs"] = {"quick": budget, "full": budget}
    data["experiments"]["cifar10-jsd-2"]["snapshot_epochs"] = {"quick": 4, "full": 4}
    data["classifiers"]["mnist"]["epochs"] = {"quick": 20, "full": 20}
    data["classifiers"]["cifar10"]["epochs"] = {"quick": 10, "full": 10}
    for name, budget in (("planar-samples", 1000), ("dirac", 400)):
        data["studies"][name]["iterations"] = {"quick": budget, "full": budget}
    return data


@dataclass
class SmallProject:
    """A project folder."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> SmallProject:
        """Create a project in which nothing has run."""
        copy_project(root)
        yaml = YAML()
        yaml.dump(small_settings(yaml.load(root / "params.yaml")), root / "params.yaml")
        (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
        return cls(root)

    def copy(self, root: Path) -> SmallProject:
        """Copy the whole folder."""
        shutil.copytree(self.root, root, symlinks=True)
        return SmallProject(root)

    @property
    def variables(self) -> dict[str, str]:
        return environment() | {"PYTHONPATH": str(self.root / "src"), "OMP_NUM_THREADS": "1"}

    def start(self, *words: str, **changed: str) -> subprocess.Popen[str]:
        """Start a command in a new process group."""
        return subprocess.Popen(
            words,
            cwd=self.root,
            env=self.variables | changed,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, timeout: float = TIMEOUT) -> tuple[int, str]:
        """Run a command to its end; return its exit status and its output."""
        process = self.start(*words)
        try:
            output, _ = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -1, f"did not end within {timeout} s"
        return process.returncode, output

    def lock(self) -> dict:
        """Return the content of `dvc.lock`."""
        return YAML(typ="safe").load((self.root / "dvc.lock").read_text(encoding="utf-8"))

    def outputs(self, stage: str) -> list[Path]:
        """Return the files and folders that a stage writes."""
        return [self.root / entry["path"] for entry in self.lock()["stages"][stage]["outs"]]

    def forget(self, stage: str) -> None:
        """Remove the outputs of a stage, its entry in `dvc.lock`, and DVC's run cache."""
        for path in self.outputs(stage):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        lock = self.root / "dvc.lock"
        entry = rf"^  {re.escape(stage)}:\n(?:    .*\n)+"
        lock.write_text(re.sub(entry, "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE), encoding="utf-8")
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs", ignore_errors=True)

    def contents(self, stage: str) -> dict[str, bytes]:
        """Return the bytes of each file that a stage has written."""
        found = {}
        for place in self.outputs(stage):
            files = sorted(place.rglob("*")) if place.is_dir() else [place]
            found |= {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.is_file()}
        return found

    def leftovers(self) -> list[str]:
        """Return drafts, checkpoints and lock files, which a finished run must not leave behind."""
        patterns = ("**/.*.part", "**/.*.old", ".triptych/checkpoints/*@*", ".triptych/checkpoints/*.pid")
        return sorted(str(path.relative_to(self.root)) for pattern in patterns for path in self.root.glob(pattern))


def stage_process(dvc: subprocess.Popen[str]) -> psutil.Process | None:
    """Return the process of the stage that DVC has started, or None."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(dvc.pid).children(recursive=True):
            if any("triptych" in Path(word).name for word in child.cmdline()):
                return child
    return None


def wait_for(condition: Callable[[], object], timeout: float) -> bool:
    """Wait until the condition holds; return False after a timeout."""
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False

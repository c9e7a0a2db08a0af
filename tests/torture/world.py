"""A small project that may be tortured: all stages of all families, some seconds each."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
from ruamel.yaml import YAML

from conftest import copy_project, shrink

BIN = Path(sys.executable).parent
KEPT = ("vae-20d", "gan-mnist", "cifar10-jsd-2", "realnvp-mnist", "planar-samples", "dirac")
PATIENCE = 300  # seconds for a stage of a second or two
LAST_WORDS = 300  # characters of output in a complaint


def prolong(data: dict) -> dict:
    """Settings small enough for a test, whose trainings take some seconds and leave a checkpoint at every epoch."""
    shrink(data, KEPT)
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
class World:
    """A project folder, and what its results are when nothing goes wrong."""

    root: Path

    @classmethod
    def make(cls, root: Path) -> World:
        """A fresh one, in which nothing has run."""
        copy_project(root)
        yaml = YAML()
        yaml.dump(prolong(yaml.load(root / "params.yaml")), root / "params.yaml")
        (root / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n")
        return cls(root)

    def copy(self, root: Path) -> World:
        """Another of the same content."""
        shutil.copytree(self.root, root, symlinks=True)
        return World(root)

    @property
    def environment(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("TRIPTYCH_", "MLFLOW_", "DVC_"))}
        return kept | {
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "DVC_NO_ANALYTICS": "1",
            "DO_NOT_TRACK": "true",
            "OMP_NUM_THREADS": "1",
        }

    def start(self, *words: str, **environment: str) -> subprocess.Popen[str]:
        """Start a command as the leader of a process group of its own."""
        return subprocess.Popen(
            words,
            cwd=self.root,
            env=self.environment | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, patience: float = PATIENCE) -> tuple[int, str]:
        """Run a command to its end: its exit status and what it said."""
        process = self.start(*words)
        try:
            output, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return -1, f"did not end within {patience} s"
        return process.returncode, output

    def lock(self) -> dict:
        """What `dvc.lock` holds."""
        return YAML(typ="safe").load((self.root / "dvc.lock").read_text(encoding="utf-8"))

    def outputs(self, stage: str) -> list[Path]:
        """The files and folders that a stage writes."""
        return [self.root / entry["path"] for entry in self.lock()["stages"][stage]["outs"]]

    def forget(self, stage: str) -> None:
        """As if the stage had never run."""
        lock = self.lock()
        for path in self.outputs(stage):
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        del lock["stages"][stage]
        yaml = YAML()
        yaml.dump(lock, self.root / "dvc.lock")
        shutil.rmtree(self.root / ".dvc" / "cache" / "runs", ignore_errors=True)

    def contents(self, stage: str) -> dict[str, bytes]:
        """Every byte that a stage has written."""
        found = {}
        for place in self.outputs(stage):
            files = sorted(place.rglob("*")) if place.is_dir() else [place]
            found |= {str(path.relative_to(self.root)): path.read_bytes() for path in files if path.is_file()}
        return found

    def litter(self) -> list[str]:
        """What no finished run should leave behind."""
        patterns = ("**/.*.part", "**/.*.old", ".triptych/checkpoints/*@*", ".triptych/checkpoints/*.pid")
        return sorted(str(path.relative_to(self.root)) for pattern in patterns for path in self.root.glob(pattern))


def stage_process(dvc: subprocess.Popen[str]) -> psutil.Process | None:
    """The process of the stage that DVC has started, if it has."""
    with suppress(psutil.NoSuchProcess):
        for child in psutil.Process(dvc.pid).children(recursive=True):
            if any("triptych" in Path(word).name for word in child.cmdline()):
                return child
    return None


def wait_for(condition: object, seconds: float) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False

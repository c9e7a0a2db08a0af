"""Temporary copies of the project, in which commands are timed."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from harness import ROOT, Command, run

sys.path.insert(0, str(ROOT / "tests"))

from conftest import copy_project, environment, shrink
from triptych.core.json_files import read_json

TINY = ("vae-20d", "gan-mnist", "realnvp-mnist", "planar-samples", "dirac")
TRIPTYCH = ("-m", "triptych.cli.main")


class ProjectCopy:
    """A copy of the project with changed settings and without git."""

    def __init__(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        self.folder, self.environment = folder, environment()
        copy_project(folder)
        self.settings = YAML(typ="safe", pure=True).load((folder / "params.yaml").read_text(encoding="utf-8"))
        self.change(change)
        (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
        self.environment["PYTHONPATH"] = str(folder / "src")

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change the settings."""
        change(self.settings)
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(self.settings, file)

    def triptych(self, *words: str, **variables: str) -> Command:
        """Run a `triptych` command."""
        return run([sys.executable, *TRIPTYCH, *words], self.folder, self.environment | variables)

    def dvc(self, *words: str) -> Command:
        """Run a `dvc` command."""
        return run([sys.executable, "-m", "dvc", *words], self.folder, self.environment)

    def refuse_changes(self) -> None:
        """Raise RuntimeError if a stage would run; `dvc status --quiet` returns this as its exit status."""
        self.dvc("status", "--quiet")

    def recorded(self, stage: str, item: str) -> float:
        """Return the seconds of a stage by the last entry of the journal."""
        entries = (self.folder / ".triptych" / "journal" / f"{stage}@{item}").glob("*.json")
        return read_json(max(entries, key=lambda path: path.stat().st_mtime_ns))["seconds"]


def tiny_project(folder: Path) -> ProjectCopy:
    """Return a project in which each stage takes a second or two and nothing has run."""
    return ProjectCopy(folder, lambda data: shrink(data, TINY))

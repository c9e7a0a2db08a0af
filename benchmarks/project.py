"""Throw-away copies of the project, for what is measured from the outside."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

from bench import ROOT
from harness import Command, run

sys.path.insert(0, str(ROOT / "tests"))

from conftest import copy_project, environment, shrink
from triptych.core.json_files import read_json

if TYPE_CHECKING:
    pass

TINY = ("vae-20d", "gan-mnist", "realnvp-mnist", "planar-samples", "dirac")
TRIPTYCH = ("-m", "triptych.cli.main")


class Copy:
    """A copy in a folder of its own, with settings changed, and without git."""

    def __init__(self, folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
        self.folder, self.environment = folder, environment()
        copy_project(folder)
        self.settings = YAML(typ="safe", pure=True).load((folder / "params.yaml").read_text(encoding="utf-8"))
        self.change(change)
        (folder / ".dvc" / "config.local").write_text("[core]\n    no_scm = true\n", encoding="utf-8")
        self.environment["PYTHONPATH"] = str(folder / "src")

    def change(self, change: Callable[[dict[str, Any]], object]) -> None:
        """Change its settings."""
        change(self.settings)
        with (self.folder / "params.yaml").open("w", encoding="utf-8") as file:
            YAML(typ="safe", pure=True).dump(self.settings, file)

    def triptych(self, *words: str, **variables: str) -> Command:
        """Run a command of ours in it."""
        return run([sys.executable, *TRIPTYCH, *words], self.folder, self.environment | variables)

    def dvc(self, *words: str) -> Command:
        """Run one of DVC's."""
        return run([sys.executable, "-m", "dvc", *words], self.folder, self.environment)

    def refuse_changes(self) -> None:
        """Raise RuntimeError if anything would run: `--quiet` makes that the exit status."""
        self.dvc("status", "--quiet")

    def recorded(self, stage: str, item: str) -> float:
        """Seconds that the journal's last entry records for a stage's work."""
        entries = (self.folder / ".triptych" / "journal" / f"{stage}@{item}").glob("*.json")
        return read_json(max(entries, key=lambda path: path.stat().st_mtime_ns))["seconds"]


def tiny(folder: Path) -> Copy:
    """A project of a second or two a stage, in which nothing has run."""
    return Copy(folder, lambda data: shrink(data, TINY))

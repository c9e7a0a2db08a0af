"""The paths of a project folder, and its git commit."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from triptych.core.errors import TriptychError
from triptych.core.file_names import RESULTS

NOT_WRITTEN_BY_STAGES = (":!dvc.lock", ":!metrics", ":!plots")  # pathspecs of git that exclude the results of stages
CHECKPOINTS_VARIABLE = "TRIPTYCH_CHECKPOINTS"  # a job on a cluster sets it: its checkout is gone when its node dies


@dataclass(frozen=True)
class Project:
    """The paths of one checkout."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Project:
        """Return the project that contains `start`: the nearest folder upwards with a params.yaml.

        Raises TriptychError if there is none.
        """
        for folder in (start, *start.parents):
            if (folder / "params.yaml").is_file():
                return cls(folder)
        raise TriptychError(f"there is no params.yaml in {start} or above it: run the command in a Triptych project")

    @property
    def params(self) -> Path:
        return self.root / "params.yaml"

    @property
    def data(self) -> Path:
        return self.root / "data"

    def raw(self, dataset: str) -> Path:
        return self.data / "raw" / f"{dataset}.npz"

    def prepared(self, dataset: str) -> Path:
        return self.data / "prepared" / dataset

    def reference(self, name: str) -> Path:
        return self.data / "reference" / name

    def model(self, experiment: str) -> Path:
        return self.root / "models" / experiment

    def classifier(self, dataset: str) -> Path:
        return self.root / "models" / f"classifier-{dataset}"

    def metrics(self, experiment: str) -> Path:
        """The headline numbers, for DVC's tables."""
        return self.root / "metrics" / f"{experiment}.json"

    def plots(self, experiment: str) -> Path:
        return self.root / "plots" / experiment

    def results(self, experiment: str) -> Path:
        """All numbers with their protocols, and the checksums of what they were measured on."""
        return self.plots(experiment) / RESULTS

    @property
    def summary(self) -> Path:
        return self.root / "metrics" / "summary.csv"

    @property
    def seed_table(self) -> Path:
        return self.root / "metrics" / "seeds.csv"

    @property
    def comparison(self) -> Path:
        return self.root / "metrics" / "comparison"

    @property
    def page(self) -> Path:
        return self.root / "report.html"

    @property
    def home(self) -> Path:
        """The checkout that keeps the records. For a queued DVC experiment, it is the checkout that queued it."""
        checkout, found, _ = self.root.as_posix().partition("/.dvc/tmp/exps/")
        return Path(checkout) if found else self.root

    @property
    def private(self) -> Path:
        """The folder of journal, records, checkpoints and downloads, which git and DVC do not track."""
        return self.home / ".triptych"

    @property
    def checkpoints(self) -> Path:
        """The folder for the checkpoints of unfinished runs."""
        named = os.environ.get(CHECKPOINTS_VARIABLE)
        return Path(named) if named else self.private / "checkpoints"

    def commit(self) -> tuple[str, bool]:
        """Return the git commit, and whether files differ from it that no stage writes; ("none", False) outside git."""
        head = self._git("rev-parse", "HEAD")
        return head or "none", bool(head and self.changed(".", *NOT_WRITTEN_BY_STAGES))

    def require_commit(self) -> None:
        """Raise TriptychError, with the reason that git gives, if there is no commit to compare with."""
        english = {**os.environ, "LC_ALL": "C"}
        command = ["git", "log", "-1"]
        try:
            subprocess.run(command, cwd=self.root, env=english, check=True, capture_output=True, text=True)  # noqa: S603
        except FileNotFoundError:
            raise TriptychError("there is no git commit to compare with, since git is missing: install it") from None
        except subprocess.CalledProcessError as error:
            reason = error.stderr.partition("\n")[0].removeprefix("fatal: ")
            raise TriptychError(f"there is no git commit to compare with: `git log` says {reason!r}") from None

    def changed(self, *places: str, untracked: bool = False) -> list[str]:
        """Return the files that differ from the commit, among these pathspecs; untracked files only if asked for."""
        kind = "all" if untracked else "no"
        lines = self._git("status", "--porcelain", f"--untracked-files={kind}", "--", *places) or ""
        return [line.split(maxsplit=1)[1] for line in lines.splitlines()]

    def _git(self, *arguments: str) -> str | None:
        """Return the output of a git command, or None if it fails or git is missing."""
        command = ["git", *arguments]
        try:
            output = subprocess.check_output(command, cwd=self.root, stderr=subprocess.DEVNULL, text=True)  # noqa: S603
        except (FileNotFoundError, subprocess.CalledProcessError):
            return None
        return output.strip()

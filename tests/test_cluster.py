"""Many machines, as far as one without SLURM shows them: folders in a remote, jobs, and what comes home."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML
from submitit import LocalExecutor, LocalJob

from conftest import ONE_A_FAMILY, ONE_STUDY, copy_project, environment, shrink, wait_until
from triptych.cli import cli
from triptych.cluster.checkpoints import Courier, fetch_checkpoints
from triptych.cluster.collect import Collected, collect
from triptych.cluster.remote import ADVICE, PLACE, Shelf
from triptych.cluster.stages import open_repo, stages_of
from triptych.cluster.submission import SHARED, Submission
from triptych.cluster.submit import Wish, submit
from triptych.config import Settings, load
from triptych.errors import TriptychError
from triptych.project import Project


class Processes(LocalExecutor):
    """Jobs that are processes of this machine; the first is waited for before others start, as SLURM would."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.parameters["additional_parameters"] = {}

    def update_parameters(self, **parameters: dict[str, str]) -> None:
        job = LocalJob(self.folder, parameters["additional_parameters"]["dependency"].removeprefix("afterok:"))
        wait_until(job.paths.result_pickle.exists)


class Here(Wish):
    def executor(self, folder: Path) -> LocalExecutor:
        return Processes(folder)


HERE = Here(minutes=10, cores=1, at_a_time=2, slurm={})
KEPT = ("vae-20d", "planar-samples")


def git(project: Project, *words: str) -> None:
    subprocess.run(["git", *words], cwd=project.root, env=environment(), check=True)


def make_project(root: Path, kept: tuple[str, ...] = KEPT) -> Project:
    """A tiny project, committed, that meets its jobs in the folder `remote` beside it."""
    copy_project(root)
    yaml = YAML()
    params = shrink(yaml.load(root / "params.yaml"), (*ONE_A_FAMILY, *ONE_STUDY))
    for part in (params["experiments"], params["studies"]):
        for name in set(part) - set(kept):
            del part[name]
    yaml.dump(params, root / "params.yaml")
    with (root / ".dvc" / "config").open("a", encoding="utf-8") as config:
        config.write("    remote = shared\n['remote \"shared\"']\n    url = ../../remote\n")
    project = Project(root)
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "tiny"]):
        git(project, *words)
    return project


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    from dvc.fs import LocalFileSystem

    return Shelf(LocalFileSystem(), str(tmp_path / "remote" / PLACE))


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def read(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}

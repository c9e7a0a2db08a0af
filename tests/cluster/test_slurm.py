"""`make cluster`: jobs on a real SLURM with two nodes. One node dies, one job is preempted, all results are collected.

The project is a tiny one or, at its last commit, the project in TRIPTYCH_PROJECT. TRIPTYCH_SEEDS sets the number of
seeds.
"""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from conftest import ONE_A_FAMILY, ONE_STUDY, copy_project, shrink
from slurm import NODES, Cluster, missing
from triptych.cluster.submission import SHARED, Submission, submissions
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.core.settings_types import value_at
from triptych.repository.project import Project
from triptych.settings.params import load
from triptych.training.checkpoint import INDEX

LONG = 800  # epochs of the training that must not end before it is disturbed
RESUMING = re.compile(r"resuming after (?:epoch|iteration) (\d+)")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if missing():
        pytest.exit(missing(), 1)
    found = Cluster(tmp_path_factory.mktemp("slurm"))
    try:
        found.start()
        yield found
    finally:
        found.stop()


class Home:
    """The project that submits the jobs."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster = root, cluster
        self.project = Project(root)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self.root, env=self.cluster.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *words: str) -> Submission:
        print(self.run("triptych", "submit", *words))
        return submissions(self.project)[-1]

    def checkpoints(self) -> list[Path]:
        """Return the index files of all checkpoints of the jobs."""
        return sorted((self.project.private / "cluster" / "checkpoints").glob(f"*/*@*/{INDEX}"))

    def in_training(self) -> list[str]:
        """Return the experiments with a checkpoint from the first half of their training."""
        settings = load(self.project.params)
        found = []
        for path in self.checkpoints():
            name = path.parent.name.partition("@")[0]
            experiment = settings.experiments.get(name)
            if experiment and 0 < 2 * step_of(path) <= value_at(experiment.epochs, settings.profile):
                found.append(name)
        return found


def step_of(index: Path) -> int:
    """Return the step of a checkpoint, or 0 if it is just being removed."""
    with suppress(TriptychError):
        return read_json(index)["step"]
    return 0


@pytest.fixture(scope="module")
def home(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Home:
    root = tmp_path_factory.mktemp("home") / "project"
    home = Home(root, cluster)
    given = os.environ.get("TRIPTYCH_PROJECT")
    if given:
        subprocess.run(["git", "clone", "--quiet", given, root], check=True)
    else:
        copy_project(root)
        yaml = YAML()
        data = shrink(yaml.load(root / "params.yaml"), (*ONE_A_FAMILY, *ONE_STUDY))
        data["experiments"]["vae-20d"]["epochs"]["quick"] = LONG
        yaml.dump(data, root / "params.yaml")
        home.run("git", "init", "--quiet")
    params, often = home.project.params, r"\1 1.0"  # results do not depend on it
    params.write_text(re.sub(r"(?m)^( +checkpoint_seconds:) \S+", often, params.read_text()))
    home.run("git", "add", "--all")
    home.run("git", "commit", "--quiet", "--message", "for the cluster")
    return home


def wait_for(cluster: Cluster, condition: Callable[[], bool]) -> None:
    """Wait until the condition holds; fail if all jobs have ended before."""
    while not condition():
        assert cluster.queue(), "all jobs have ended, but the condition does not hold"
        time.sleep(0.2)


def wait_for_training(home: Home, submission: Submission) -> str:
    """Wait until the job of an experiment is running and has a checkpoint; return the name of the experiment."""
    found: list[str] = []

    def has_started() -> bool:
        queue = home.cluster.queue()
        found[:] = [name for name in home.in_training() if queue.get(submission.jobs.get(name, "")) == "RUNNING"]
        return bool(found)

    wait_for(home.cluster, has_started)
    return found[0]


def finish(home: Home, submission: Submission, victim: str) -> None:
    """Wait until all jobs have ended, and collect. All results must be there, and the victim must have continued."""
    wait_for_end(home.cluster)
    ended = {name: home.cluster.job(number)["JobState"] for name, number in submission.jobs.items()}
    assert ended == dict.fromkeys(submission.jobs, "COMPLETED"), submission.log(victim).read_text()
    said = submission.log(victim).read_text()
    resuming = RESUMING.search(said)
    assert resuming, said
    assert int(resuming[1]) > 0
    said = home.run("triptych", "collect")
    assert "ended" not in said
    assert "not up to date" not in said
    assert "up to date" in home.run("dvc", "status")
    said = home.run("dvc", "repro")
    assert "up to date" in said
    assert "Running" not in said
    assert home.checkpoints() == []
    settings = load(home.project.params)
    client = MlflowClient(f"sqlite:///{home.root / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()], max_results=50_000)
    states = {run.data.tags.get("triptych_experiment"): run.info.status for run in runs}
    names = [*settings.experiments, *settings.studies]
    assert {name: states.get(name) for name in names} == dict.fromkeys(names, "FINISHED")


def wait_for_end(cluster: Cluster) -> None:
    while cluster.queue():
        time.sleep(0.5)


def test_a_node_dies_during_a_training(cluster: Cluster, home: Home) -> None:
    seeds = os.environ.get("TRIPTYCH_SEEDS")
    submission = home.submit(*(["--seeds", seeds] if seeds else []), "--hours", "10")
    victim = wait_for_training(home, submission)
    number = submission.jobs[victim]
    node = cluster.job(number)["BatchHost"]
    cluster.cut_power(node)
    wait_for(cluster, lambda: cluster.job(number)["Restarts"] == "1")
    cluster.start_soon(number)
    wait_for(cluster, lambda: cluster.job(number)["JobState"] == "RUNNING")
    assert cluster.job(number)["BatchHost"] in set(NODES) - {node}
    cluster.revive(node)
    finish(home, submission, victim)
    lock = home.root / "dvc.lock"
    before = lock.read_bytes()
    home.run("dvc", "repro", "--force", "--single-item", f"train@{victim}")
    assert lock.read_bytes() == before  # an undisturbed training gives the same bytes


def test_a_job_is_preempted_and_continues(cluster: Cluster, home: Home) -> None:
    """A second seed is added, so that one job remains to be done."""
    if "TRIPTYCH_PROJECT" in os.environ:
        pytest.skip("only the tiny project has a training that is long enough")
    added = f"vae-20d-seed-{load(home.project.params).experiment('vae-20d').seed + 1}"
    submission = home.submit("--seeds", "2", "vae-20d")
    assert SHARED not in submission.jobs
    assert list(submission.jobs) == [added]
    number = submission.jobs[wait_for_training(home, submission)]
    cluster.ask("scancel", "--signal=USR2", number)
    wait_for(cluster, lambda: cluster.job(number)["Restarts"] == "1")
    cluster.start_soon(number)
    wait_for_end(cluster)
    assert cluster.job(number)["JobState"] == "COMPLETED"
    assert RESUMING.search(submission.log(added).read_text())
    assert added in home.run("triptych", "collect")

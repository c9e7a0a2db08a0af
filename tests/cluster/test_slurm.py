"""`make cluster`: a real SLURM with two nodes runs the jobs; one node dies, one job is sent away, all comes home.

The project is a tiny one or, at its last commit, the one that TRIPTYCH_PROJECT names, with as many seeds as
TRIPTYCH_SEEDS says.
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
from triptych.cluster.checkpoints import SHELVED
from triptych.cluster.remote import INDEX, PLACE
from triptych.cluster.submission import SHARED, Submission, submissions
from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.core.project import Project
from triptych.settings.params import load
from triptych.training.checkpoint import STATE

LONG = 800  # epochs of what is to be met while it trains
GOING_ON = re.compile(r"going on after (?:epoch|iteration) (\d+)")


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
    """The project that submits, and the folder where it and its jobs meet."""

    def __init__(self, root: Path, cluster: Cluster) -> None:
        self.root, self.cluster, self.remote = root, cluster, root.with_name("remote")
        self.project = Project(root)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            words, cwd=self.root, env=self.cluster.environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def submit(self, *words: str) -> Submission:
        print(self.run("triptych", "submit", *words))
        return list(submissions(self.project))[-1]

    def checkpoints(self) -> list[Path]:
        """Those in the remote."""
        return sorted((self.remote / PLACE / SHELVED).glob(f"*@*/{INDEX}"))

    def in_training(self) -> list[str]:
        """Experiments that are, by their checkpoints in the remote, at most half through their training."""
        settings = load(self.project.params)
        found = []
        for path in self.checkpoints():
            name = path.parent.name.partition("@")[0]
            steps = [int(file.removesuffix(f".{STATE}")) for file in index_at(path) if file.endswith(f".{STATE}")]
            experiment = settings.experiments.get(name)
            if experiment and steps and 2 * steps[0] <= getattr(experiment.epochs, settings.profile):
                found.append(name)
        return found


def index_at(path: Path) -> dict[str, str]:
    """What an index holds; nothing if it is just being removed."""
    with suppress(TriptychError):
        return read_json(path)
    return {}


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
    params, often = home.project.params, r"\1 1.0"  # which is no result's business
    params.write_text(re.sub(r"(?m)^( +checkpoint_seconds:) \S+", often, params.read_text()))
    home.run("dvc", "remote", "add", "--default", "shared", str(home.remote))
    home.run("git", "add", "--all")
    home.run("git", "commit", "--quiet", "--message", "for the cluster")
    return home


def wait_for(cluster: Cluster, condition: Callable[[], bool]) -> None:
    """Wait for what must happen, as long as there are jobs that may make it so."""
    while not condition():
        assert cluster.queue(), "all jobs have ended, and it has not happened"
        time.sleep(0.2)


def meet(home: Home, submission: Submission) -> str:
    """Wait until a training's checkpoint is in the remote while its job runs; say whose."""
    found: list[str] = []

    def met() -> bool:
        queue = home.cluster.queue()
        found[:] = [name for name in home.in_training() if queue.get(submission.jobs.get(name, "")) == "RUNNING"]
        return bool(found)

    wait_for(home.cluster, met)
    return found[0]


def finish(home: Home, submission: Submission, victim: str) -> None:
    """Wait until all jobs have ended, and collect: everything is there, and the victim has gone on where it was."""
    wait_for_end(home.cluster)
    ended = {name: home.cluster.job(number)["JobState"] for name, number in submission.jobs.items()}
    assert ended == dict.fromkeys(submission.jobs, "COMPLETED"), submission.log(victim).read_text()
    said = submission.log(victim).read_text()
    going_on = GOING_ON.search(said)
    assert going_on, said
    assert int(going_on[1]) > 0
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
    assert {name: states.get(name) for name in settings.measured} == dict.fromkeys(settings.measured, "FINISHED")


def wait_for_end(cluster: Cluster) -> None:
    while cluster.queue():
        time.sleep(0.5)


def test_a_node_dies_in_the_middle_of_a_training(cluster: Cluster, home: Home) -> None:
    seeds = os.environ.get("TRIPTYCH_SEEDS")
    submission = home.submit(*(["--seeds", seeds] if seeds else []), "--hours", "10")
    victim = meet(home, submission)
    number = submission.jobs[victim]
    node = cluster.job(number)["BatchHost"]
    cluster.cut_power(node)
    wait_for(cluster, lambda: cluster.job(number)["Restarts"] == "1")
    cluster.ask("scontrol", "update", f"jobid={number}", "starttime=now")  # else SLURM lets two minutes pass
    wait_for(cluster, lambda: cluster.job(number)["JobState"] == "RUNNING")
    assert cluster.job(number)["BatchHost"] in set(NODES) - {node}
    cluster.revive(node)
    finish(home, submission, victim)
    lock = home.root / "dvc.lock"
    before = lock.read_bytes()
    home.run("dvc", "repro", "--force", "--single-item", f"train@{victim}")
    assert lock.read_bytes() == before  # undisturbed it would have been the same


def test_a_job_is_sent_away_and_goes_on_later(cluster: Cluster, home: Home) -> None:
    """With a second seed, of which alone there is something to do."""
    if "TRIPTYCH_PROJECT" in os.environ:
        pytest.skip("the tiny project has a training that is sure to be long enough")
    repeat = f"vae-20d-seed-{load(home.project.params).experiment('vae-20d').seed + 1}"
    submission = home.submit("--seeds", "2", "vae-20d")
    assert SHARED not in submission.jobs
    assert list(submission.jobs) == [repeat]
    number = submission.jobs[meet(home, submission)]
    cluster.ask("scancel", "--signal=USR2", number)
    wait_for(cluster, lambda: cluster.job(number)["Restarts"] == "1")
    cluster.ask("scontrol", "update", f"jobid={number}", "starttime=now")
    wait_for_end(cluster)
    assert cluster.job(number)["JobState"] == "COMPLETED"
    assert GOING_ON.search(submission.log(repeat).read_text())
    assert repeat in home.run("triptych", "collect")

"""`make s3`: results shared between machines by a bucket, on a real S3 server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import REMOTE, ObjectStore

from conftest import wait_until
from test_pipeline import Clone, make_clone
from triptych.cluster.remote import Shelf
from triptych.cluster.stages import open_repo, restore, send
from triptych.core.project import Project


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStore]:
    with ObjectStore.serve() as served:
        yield served


@pytest.fixture(scope="session")
def origin(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """The machine that has the results, and has shared them."""
    made = make_clone(tmp_path_factory.mktemp("machines") / "origin", store.credentials)
    store.configure(made.root, made.environment)
    made.succeed("triptych", "repro")
    made.succeed("git", "add", "-A")
    made.succeed("git", "commit", "-qm", "results")
    made.succeed("dvc", "push", "--run-cache")
    return made


@pytest.fixture
def other(origin: Clone, tmp_path: Path, store: ObjectStore) -> Clone:
    """Another machine, which has what git carries."""
    subprocess.run(["git", "clone", "-q", origin.root, tmp_path / "other"], check=True)
    return Clone(tmp_path / "other", store.credentials)


def test_a_fresh_clone_has_nothing_to_do(origin: Clone, other: Clone, store: ObjectStore) -> None:
    assert not (other.root / "models" / "vae-20d").exists()
    other.succeed("dvc", "pull", "--run-cache")
    assert other.ran(other.succeed("dvc", "repro")) == []
    assert other.results() == origin.results()
    assert other.succeed("git", "status", "--porcelain") == ""
    tracked = other.succeed("git", "grep", "-h", "", "--", ".dvc")
    assert store.endpoint in tracked
    assert store.secret not in tracked


def test_what_another_machine_has_trained_is_not_trained_again(origin: Clone, other: Clone, tmp_path: Path) -> None:
    """Its settings are not the committed ones: the run cache tells."""
    shutil.copytree(origin.root, tmp_path / "third", symlinks=True)
    third = Clone(tmp_path / "third", origin.environment)
    for clone in (third, other):
        clone.edit(lambda data: data["experiments"]["vae-20d"].update(learning_rate=0.002))
    assert third.ran(third.succeed("dvc", "repro")) == ["train@vae-20d", "evaluate@vae-20d", "report"]
    third.succeed("dvc", "push", "--run-cache")
    other.succeed("dvc", "fetch", "--run-cache")
    assert other.ran(other.succeed("dvc", "repro", "--pull")) == ["evaluate@vae-20d", "report"]
    assert (other.root / "dvc.lock").read_bytes() == (third.root / "dvc.lock").read_bytes()


def test_an_interrupted_push_is_taken_up(origin: Clone, other: Clone, store: ObjectStore) -> None:
    folder, whole = "interrupted", store.names()
    store.configure(origin.root, origin.environment, folder)
    words = ["dvc", "push", "--run-cache", "--jobs", "1", "--quiet"]
    push = subprocess.Popen(words, cwd=origin.root, env=origin.environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: bool(store.names(folder)))
    push.kill()
    push.wait()
    assert len(store.names(folder)) < len(whole)
    origin.succeed("dvc", "push", "--run-cache")
    assert store.names(folder) <= whole  # which a test before may have added to
    store.configure(other.root, other.environment, folder)
    other.succeed("dvc", "pull", "--run-cache")
    assert other.ran(other.succeed("dvc", "repro")) == []
    assert other.results() == origin.results()
    store.configure(origin.root, origin.environment)


NOBODY = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_a_profile_says_who_it_is(origin: Clone, store: ObjectStore, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[work]\naws_access_key_id = {store.key}\naws_secret_access_key = {store.secret}\n")
    names = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_PROFILE": "work"}
    assert "Everything is up to date" in origin.succeed("dvc", "push", **NOBODY, **names)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "Forbidden"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "Forbidden"),
        (NOBODY, "Unable to locate credentials"),
        ({"PYTHONPATH": ""}, "requires 'dvc-s3' to be installed"),
    ],
)
def test_who_may_not_push_is_told_why(origin: Clone, variables: dict[str, str], said: str) -> None:
    assert said in error(origin, **variables)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("url", "s3://nowhere/results", "The specified bucket does not exist"),
        ("endpointurl", "http://127.0.0.1:9", "Could not connect to the endpoint URL"),
    ],
)
def test_a_remote_that_is_not_there_is_named(origin: Clone, key: str, value: str, said: str) -> None:
    origin.succeed("dvc", "remote", "modify", "--local", REMOTE, key, value)
    try:
        assert said in error(origin)
    finally:
        origin.succeed("dvc", "remote", "modify", "--local", "--unset", REMOTE, key)


def error(clone: Clone, **variables: str) -> str:
    """The line in which `dvc push` says why it does not."""
    done = clone.run("dvc", "push", **variables)
    assert done.returncode
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return line


def test_jobs_of_a_cluster_meet_in_a_bucket(
    origin: Clone, other: Clone, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `triptych submit` and `collect` need of a remote: checkpoints, journals, and results stage by stage."""
    for name, value in store.credentials.items():
        monkeypatch.setenv(name, value)
    for clone in (origin, other):
        store.configure(clone.root, clone.environment, "jobs")
    checkpoint = tmp_path / "checkpoint"
    (checkpoint / "deep").mkdir(parents=True)
    (checkpoint / "state").write_bytes(b"one")
    (checkpoint / "deep" / "piece").write_bytes(b"piece")
    stages = ["fetch@binarized_mnist", "prepare@binarized_mnist", "train@vae-20d"]
    with open_repo(Project(origin.root)) as repo:
        shelf = Shelf.of(repo)
        shelf.put(checkpoint, "checkpoints/vae-20d@1")
        (checkpoint / "state").write_bytes(b"two")
        shelf.put(checkpoint, "checkpoints/vae-20d@1")
        for stage in stages:
            send(repo, stage)
    with open_repo(Project(other.root)) as repo:
        shelf = Shelf.of(repo)
        assert shelf.names("checkpoints") == ["checkpoints/vae-20d@1"]
        assert shelf.get("checkpoints/vae-20d@1", tmp_path / "taken")
        assert not shelf.get("checkpoints/nobody@1", tmp_path / "nothing")
        for stage in stages:
            assert restore(repo, stage, stages)
        shelf.drop("checkpoints/vae-20d@1")
        assert shelf.names("checkpoints") == []
    assert (tmp_path / "taken" / "state").read_bytes() == b"two"
    assert (tmp_path / "taken" / "deep" / "piece").read_bytes() == b"piece"
    model = Path("models") / "vae-20d" / "weights.safetensors"
    assert (other.root / model).read_bytes() == (origin.root / model).read_bytes()

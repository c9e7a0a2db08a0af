"""`make s3`: machines share results through a bucket, on a real S3 server."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from object_store import REMOTE, ObjectStore

from conftest import wait_until
from test_pipeline import Clone, make_clone


@pytest.fixture(scope="session")
def store() -> Iterator[ObjectStore]:
    with ObjectStore.serve() as served:
        yield served


@pytest.fixture(scope="session")
def origin(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> Clone:
    """Return a clone that has all results and has pushed them."""
    made = make_clone(tmp_path_factory.mktemp("machines") / "origin", store.credentials)
    store.configure(made.root, made.environment)
    made.succeed("triptych", "repro")
    made.succeed("git", "add", "-A")
    made.succeed("git", "commit", "-qm", "results")
    made.succeed("dvc", "push", "--run-cache")
    return made


@pytest.fixture
def other(origin: Clone, tmp_path: Path, store: ObjectStore) -> Clone:
    """Return another clone, which has only the files in git."""
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


def test_results_of_another_machine_are_not_trained_again(origin: Clone, other: Clone, tmp_path: Path) -> None:
    """The settings are not committed: DVC finds the results in the run cache."""
    shutil.copytree(origin.root, tmp_path / "third", symlinks=True)
    third = Clone(tmp_path / "third", origin.environment)
    for clone in (third, other):
        clone.edit(lambda data: data["experiments"]["vae-20d"].update(learning_rate=0.002))
    assert third.ran(third.succeed("dvc", "repro")) == ["train@vae-20d", "evaluate@vae-20d", "report"]
    third.succeed("dvc", "push", "--run-cache")
    other.succeed("dvc", "fetch", "--run-cache")
    assert other.ran(other.succeed("dvc", "repro", "--pull")) == ["evaluate@vae-20d", "report"]
    assert (other.root / "dvc.lock").read_bytes() == (third.root / "dvc.lock").read_bytes()


def test_an_interrupted_push_is_completed(origin: Clone, other: Clone, store: ObjectStore) -> None:
    folder, whole = "interrupted", store.names()
    store.configure(origin.root, origin.environment, folder)
    words = ["dvc", "push", "--run-cache", "--jobs", "1", "--quiet"]
    push = subprocess.Popen(words, cwd=origin.root, env=origin.environment, stderr=subprocess.DEVNULL)
    wait_until(lambda: bool(store.names(folder)))
    push.kill()
    push.wait()
    assert len(store.names(folder)) < len(whole)
    origin.succeed("dvc", "push", "--run-cache")
    assert store.names(folder) <= whole  # earlier tests may have added files to `whole`
    store.configure(other.root, other.environment, folder)
    other.succeed("dvc", "pull", "--run-cache")
    assert other.ran(other.succeed("dvc", "repro")) == []
    assert other.results() == origin.results()
    store.configure(origin.root, origin.environment)


NO_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}


def test_credentials_from_a_profile(origin: Clone, store: ObjectStore, tmp_path: Path) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(f"[work]\naws_access_key_id = {store.key}\naws_secret_access_key = {store.secret}\n")
    names = {"AWS_SHARED_CREDENTIALS_FILE": str(credentials), "AWS_PROFILE": "work"}
    assert "Everything is up to date" in origin.succeed("dvc", "push", **NO_CREDENTIALS, **names)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AWS_ACCESS_KEY_ID": "AKIAUNKNOWN"}, "Forbidden"),
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "Forbidden"),
        (NO_CREDENTIALS, "Unable to locate credentials"),
        ({"PYTHONPATH": ""}, "requires 'dvc-s3' to be installed"),
    ],
)
def test_errors_of_credentials(origin: Clone, variables: dict[str, str], said: str) -> None:
    assert said in error(origin, **variables)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("url", "s3://nowhere/results", "The specified bucket does not exist"),
        ("endpointurl", "http://127.0.0.1:9", "Could not connect to the endpoint URL"),
    ],
)
def test_errors_of_a_missing_remote(origin: Clone, key: str, value: str, said: str) -> None:
    origin.succeed("dvc", "remote", "modify", "--local", REMOTE, key, value)
    try:
        assert said in error(origin)
    finally:
        origin.succeed("dvc", "remote", "modify", "--local", "--unset", REMOTE, key)


def error(clone: Clone, **variables: str) -> str:
    """Return the error message of `dvc push`."""
    done = clone.run("dvc", "push", **variables)
    assert done.returncode
    assert "Traceback" not in done.stderr
    [line] = [line for line in done.stderr.splitlines() if line.startswith("ERROR: ")]
    return line

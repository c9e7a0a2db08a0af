"""What killed DVC processes leave in `rwlock` stops no run, and a run waits for DVC processes that still work."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from triptych.runner import dvc_locks
from triptych.runner.dvc_locks import wait_for_other_dvc


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Return the path of DVC's `rwlock` in a project."""
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    return tmp_path / ".dvc" / "tmp" / "rwlock"


def entries(pid: int) -> str:
    info = {"pid": pid, "cmd": "triptych repro"}
    return json.dumps({"write": {"models/a": info}, "read": {"data/a": [info]}})


@contextmanager
def sleeping() -> Iterator[subprocess.Popen]:
    process = subprocess.Popen(["sleep", "3600"])
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def ended_process() -> int:
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


@pytest.mark.parametrize(
    "text",
    [
        lambda: "",
        lambda: '{"write": {"mod',
        lambda: "{}",
        lambda: entries(ended_process()),
        lambda: entries(os.getpid()),
    ],
    ids=["empty", "torn", "nothing", "ended", "own"],
)
def test_leftovers_of_killed_processes_are_removed(notes: Path, tmp_path: Path, text: Callable[[], str]) -> None:
    notes.write_text(text())
    wait_for_other_dvc(tmp_path, pytest.fail)
    assert not notes.exists()
    wait_for_other_dvc(tmp_path, pytest.fail)


def test_a_process_that_got_the_id_of_a_killed_one_does_not_count(notes: Path, tmp_path: Path) -> None:
    with sleeping() as other:
        notes.write_text(entries(other.pid))
        os.utime(notes, (notes.stat().st_mtime - 60,) * 2)
        wait_for_other_dvc(tmp_path, pytest.fail)
        assert not notes.exists()


def test_running_processes_are_waited_for(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is killed when it is named; as a zombie it counts as ended."""
    monkeypatch.setattr(dvc_locks, "SILENT_SECONDS", 0.0)
    said: list[str] = []
    with sleeping() as other:
        notes.write_text(entries(other.pid))
        wait_for_other_dvc(tmp_path, lambda text: (said.append(text), other.kill()))
    process = f"process {other.pid}: triptych repro"
    assert said == [f"waiting for another DVC process, {process}; if this is no DVC process, delete .dvc/tmp/rwlock"]
    assert not notes.exists()

"""Lanes: what runs next, what a failure stops, and that `dvc.lock` does not tell who finished first."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import dvc.stage.run
import pytest
from ruamel.yaml import YAML

from conftest import environment, is_gone, wait_until
from triptych.cli.main import INTERRUPTED
from triptych.core.lock_file import HEAD, with_entry
from triptych.core.project import Project
from triptych.runner import gpus, parallel

# a is slow and b fast; c is made of both; d stands alone
SLOW = {"a": "sleep 1; echo 1 > a", "b": "echo 2 > b", "c": "cat a b > c", "d": "echo 4 > d"}
WAITS = {"c": ["a", "b"]}
ORDER = ("a", "b", "c", "d")


def make_project(folder: Path, commands: dict[str, str], params: dict | None = None) -> Project:
    """A DVC project of nothing but shell."""
    params = params or {"profile": "one", "long": "words that DVC folds into lines, " * 6}
    (folder / ".dvc").mkdir(parents=True)
    (folder / ".dvc" / "config").write_text("[core]\n    no_scm = true\n")
    YAML(typ="safe", pure=True).dump(params, folder / "params.yaml")
    stages = {
        name: {"cmd": command, "outs": [name], "deps": WAITS.get(name, []), "params": [*params][:2]}
        for name, command in commands.items()
    }
    YAML().dump({"stages": stages}, folder / "dvc.yaml")
    return Project(folder)


def repro(project: Project, count: int, devices: tuple[str, ...] = ()) -> int:
    plan = parallel.begin_look(project)()
    assert plan
    return parallel.run(project, plan, count, {}, devices)


def test_the_longest_chain_begins_first() -> None:
    waits = {"fetch": [], "long": ["fetch"], "short": ["fetch"], "alone": [], "report": ["long", "short", "alone"]}
    seconds = {"fetch": 1.0, "long": 30.0, "short": 2.0, "alone": 20.0}
    assert parallel.by_length(waits, seconds) == ["fetch", "long", "alone", "short", "report"]
    assert parallel.by_length(waits, {}) == ["fetch", "long", "short", "alone", "report"]


def test_no_stage_starts_before_those_it_waits_for_or_after_a_failure() -> None:
    work = parallel.Work(["a", "b", "c"], {"a": [], "b": [], "c": ["a"]})
    assert work.take(0) == []
    assert work.take(1) == ["a"]
    assert work.take(5) == ["b"]
    assert work.take(5) == []
    work.finish("b", "")
    assert work.take(5) == []
    work.finish("a", "")
    assert work.take(5) == ["c"]
    work.finish("c", None)
    assert work.done
    assert work.failures == ["failed to reproduce 'c': its DVC was killed"]


def test_the_latest_entry_of_the_journal_says_how_long_a_stage_takes(tmp_path: Path) -> None:
    project = Project(tmp_path)
    entries = {
        "train@a/1": '{"seconds": 3}',
        "train@a/2": '{"seconds": 4}',
        "train@a-seed-1/1": '{"seconds": 7}',
        "classifier@classifier-b/1": '{"seconds": 5}',
    }
    entries |= {"report@all/1": '{"seconds": 6}', "train@c/1": "{", "train@d/1": "{}", "train@e/1": '{"seconds": "x"}'}
    for age, (name, text) in enumerate(entries.items()):
        path = project.private / "journal" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (age, age))
    assert parallel.durations(project) == {
        "train@a": 4.0,
        "train@a-seed-1": 7.0,
        "classifier@b": 5.0,
        "report": 6.0,
    }


@pytest.mark.parametrize(
    ("device", "threads", "processes", "expected"),
    [("cpu", 1, 1, 4), ("cpu", 3, 1, 1), ("cpu", 8, 1, 1), ("cpu", 1, 2, 2), ("cuda", 1, 1, 1), ("mps", 1, 1, 1)],
)
def test_lanes_are_as_many_as_the_cores_can_feed(
    device: str,
    threads: int,
    processes: int,
    expected: int,
    tiny: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    changes = {"device": device, "threads": threads, "processes": processes}
    assert parallel.default_lanes(tiny.runtime.model_copy(update=changes)) == expected


@pytest.mark.parametrize(
    ("nodes", "named", "found", "expected"),
    [
        ((), None, [], 4),
        (("nvidia0", "nvidia1", "nvidia10", "nvidiactl", "nvidia-uvm", "nvidia-caps"), None, ["0", "1", "2"], 3),
        (("nvidia0", "nvidia1", "nvidiactl"), "1", ["1"], 1),
        (("nvidia0", "nvidia1", "nvidiactl"), "GPU-8932f937, 0,-1,1", ["GPU-8932f937", "0"], 2),
        (("nvidia0", "nvidiactl"), "", [], 4),
        (("nvidia0", "nvidiactl"), "-1", [], 4),
        (("dxg",), None, [], 1),
        (("kfd",), None, [], 1),
    ],
)
def test_a_lane_for_each_gpu_that_the_user_leaves(
    nodes: tuple[str, ...],
    named: str | None,
    found: list[str],
    expected: int,
    tiny: object,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    if named is None:
        monkeypatch.delenv(gpus.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(gpus.VARIABLE, named)
    runtime = tiny.runtime.model_copy(update={"device": "auto"})
    assert parallel.gpus_for(runtime) == found
    assert parallel.default_lanes(runtime) == expected
    in_pairs = parallel.gpus_for(runtime.model_copy(update={"processes": 2}))
    assert in_pairs == [",".join(found[:2])] if found else in_pairs == []
    on_cpu = tiny.runtime.model_copy(update={"device": "cpu"})
    assert parallel.gpus_for(on_cpu) == []
    assert parallel.default_lanes(on_cpu) == 4


def seen(project: Project) -> dict[str, str]:
    """The GPU that each stage was given."""
    return {name: (project.root / name).read_text().strip() for name in ORDER}


def meeting(*names: str) -> dict[str, str]:
    """Stages that say their GPU, and end once all of these have."""
    waiting = " && ".join(f"test -s {name}" for name in names)
    return {name: f'echo "$CUDA_VISIBLE_DEVICES" > {name}; until {waiting}; do sleep 0.01; done' for name in names}


def test_lanes_share_the_gpus_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "c", [])
    pairs = make_project(tmp_path / "pairs", meeting("a", "b") | meeting("c", "d"))
    assert repro(pairs, 2, ("3", "5")) == 0
    found = seen(pairs)
    assert {found["a"], found["b"]} == {found["c"], found["d"]} == {"3", "5"}
    crowd = make_project(tmp_path / "crowd", meeting(*ORDER))
    assert repro(crowd, 4, ("3", "5")) == 0
    assert Counter(seen(crowd).values()) == {"3": 2, "5": 2}


def test_a_gpu_is_kept_as_long_as_its_stage_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "c", [])
    others = {name: f'echo "$CUDA_VISIBLE_DEVICES" > {name}' for name in "bcd"}
    project = make_project(tmp_path / "p", {"a": meeting("a", *others)["a"]} | others)
    assert repro(project, 2, ("3", "5")) == 0
    assert seen(project) == {"a": "3", "b": "5", "c": "5", "d": "5"}


def test_more_threads_than_cores_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "cores", lambda: 4)
    assert parallel.crowding(4, 1) == parallel.crowding(2, 2) == parallel.crowding(1, 8) == ""
    assert parallel.crowding(5, 1).startswith("5 stages at a time, one thread each, share 4 cores")
    assert parallel.crowding(2, 3).startswith("2 stages at a time, 3 threads each, share 4 cores")


def test_processes_that_start_from_nothing_do_as_forks_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on macOS."""
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("spawn"))
    project = make_project(tmp_path / "p", {"b": "echo 2 > b"})
    assert repro(project, 2) == 0
    assert parallel.begin_look(project)() == parallel.Plan(["b"], {})


def test_the_lock_is_that_of_plain_dvc_whoever_finishes_first(tmp_path: Path) -> None:
    projects = [make_project(tmp_path / name, SLOW) for name in ("plain", "one", "many")]
    subprocess.run(["dvc", "repro", "-q"], cwd=projects[0].root, env=environment(), check=True)
    assert repro(projects[1], 1) == 0
    assert repro(projects[2], 4) == 0
    locks = {(project.root / "dvc.lock").read_bytes() for project in projects}
    assert len(locks) == 1
    for project in projects:
        assert (project.root / "c").read_text() == "1\n2\n"
        assert parallel.begin_look(project)() == parallel.Plan(list(ORDER), {})
    params = projects[2].params
    params.write_text(params.read_text().replace("one", "two"))
    (projects[2].root / "d").unlink()
    assert parallel.begin_look(projects[2])() == parallel.Plan(
        list(ORDER), {"a": [], "b": [], "c": ["a", "b"], "d": []}
    )
    subprocess.run(["dvc", "repro", "-q"], cwd=projects[2].root, env=environment(), check=True)
    assert parallel.begin_look(projects[2])() == parallel.Plan(list(ORDER), {})


def test_what_runs_beside_a_failure_finishes_and_nothing_new_starts(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "p", SLOW | {"b": "exit 3"})
    assert repro(project, 2) == parallel.FAILED
    assert (project.root / "a").exists()
    assert not (project.root / "d").exists()
    assert "  a:\n" in (project.root / "dvc.lock").read_text()
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "ERROR: failed to reproduce 'b': failed to run: exit 3, exited with 3"
    (project.root / "dvc.yaml").write_text((project.root / "dvc.yaml").read_text().replace("exit 3", "echo 2 > b"))
    plan = parallel.begin_look(project)()
    assert plan
    assert set(plan.waits) == {"b", "c", "d"}


def test_a_pipeline_that_dvc_refuses_has_no_plan(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", SLOW)
    (project.root / "dvc.yaml").write_text("stages: 1\n")
    assert parallel.begin_look(project)() is None


def test_ctrl_c_ends_every_lane_and_says_so_once(tmp_path: Path, tiny_params: dict) -> None:
    commands = {name: f"echo $$ > {name}-pid; exec sleep 3600" for name in "abcd"}
    project = make_project(tmp_path / "p", commands, tiny_params)
    words = ["triptych", "repro", "--jobs", "2"]
    command = subprocess.Popen(
        words, cwd=project.root, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(lambda: len(started(project)) == 2)
    os.killpg(command.pid, signal.SIGINT)
    _, said = command.communicate()
    assert command.returncode == INTERRUPTED
    assert said.strip() == "triptych: stopped; run it again, and it goes on from its last checkpoint"
    assert all(is_gone(pid) for pid in started(project))
    assert len(started(project)) == 2


def test_a_stage_that_dvc_does_not_wait_for_ends_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the moment between a stage's start and DVC's waiting for it, here made long."""
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("fork"))
    elsewhere = SimpleNamespace(current_thread=lambda: None, _MainThread=threading._MainThread)
    monkeypatch.setattr(dvc.stage.run, "threading", elsewhere)  # there, DVC lets itself be interrupted at any time
    saving = "trap 'sleep 1; echo saved > saved; exit 1' INT; echo $$ > a-pid; while :; do sleep 0.1; done"
    project = make_project(tmp_path / "p", {"a": saving})

    def run() -> None:
        os.setsid()
        with suppress(KeyboardInterrupt):
            repro(project, 1)
            os._exit(1)
        os._exit(0 if (project.root / "saved").exists() else 2)

    command = parallel.PROCESSES.Process(target=run)
    command.start()
    wait_until(lambda: len(started(project)) == 1)
    os.killpg(command.pid, signal.SIGINT)
    command.join()
    assert command.exitcode == 0


def started(project: Project) -> list[int]:
    return [int(path.read_text()) for path in project.root.glob("*-pid") if path.read_text().endswith("\n")]


def test_an_entry_takes_its_place_in_the_order() -> None:
    text = "schema: '2.0'\nstages:\n  c:\n    cmd: c\n  gone:\n    cmd: |\n      x\n\n      y\n  a:\n    cmd: a\n"
    expected = "schema: '2.0'\nstages:\n  a:\n    cmd: a\n  b:\n    cmd: b\n  c:\n    cmd: c\n"
    gone = "  gone:\n    cmd: |\n      x\n\n      y\n"
    assert with_entry(text, "  b:\n    cmd: b\n", ORDER) == expected + gone
    replaced = expected.replace("cmd: c", "cmd: d") + gone + "datasets:\n- name: x\n"
    assert with_entry(expected + gone + "datasets:\n- name: x\n", "  c:\n    cmd: d\n", ORDER) == replaced
    assert with_entry(HEAD, "  b:\n    cmd: b\n", ORDER) == HEAD + "  b:\n    cmd: b\n"
    for foreign in ("", "stages: {a: {cmd: a}}\n", "stages:\n    a:\n        cmd: a\n", "<<<<<<< HEAD\n"):
        assert with_entry(foreign, "  b:\n    cmd: b\n", ORDER) is None

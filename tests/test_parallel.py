"""Parallel stages: order, failures, interrupts, GPUs, and a `dvc.lock` equal to that of plain DVC."""

from __future__ import annotations

import importlib.metadata
import json
import multiprocessing
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import MappingProxyType, SimpleNamespace

import dvc.stage.run
import pytest
import torch
from dvc.stage import Stage
from ruamel.yaml import YAML

from conftest import ROOT, environment, is_gone, wait_until
from triptych.cli import errors as end_of_command
from triptych.cli.errors import INTERRUPTED, errors_in_one_sentence
from triptych.core.errors import TriptychError
from triptych.repository.lock_file import HEAD, with_entry
from triptych.repository.project import Project
from triptych.runner import dvc as dvc_program
from triptych.runner import gpus, parallel, repro, schedule
from triptych.runner.display import Display
from triptych.runner.schedule import Plan
from triptych.runner.time_left import durations
from triptych.settings.params import Settings, load
from triptych.training.machine import pick_device

# Stage a is slow and b is fast; c depends on both; d depends on none.
SLOW = {"a": "sleep 1; echo 1 > a", "b": "echo 2 > b", "c": "cat a b > c", "d": "echo 4 > d"}
WAITS = {"c": ["a", "b"]}
ORDER = ("a", "b", "c", "d")


def make_project(folder: Path, commands: dict[str, str], params: dict | None = None) -> Project:
    """Make a DVC project whose stages are shell commands."""
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


def run_stages(
    project: Project, workers: int, groups: tuple[str, ...] = (), seconds: Mapping[str, float] = MappingProxyType({})
) -> int:
    plan = parallel.begin_planning(project)()
    assert plan
    with Display(project.root, verbose=False) as display:
        display.begin(dict.fromkeys(plan.waits, 1.0), workers)
        return parallel.run(project, plan, workers, {}, display, seconds=seconds, gpus=groups)


def test_the_longest_chain_starts_first() -> None:
    waits = {"fetch": [], "long": ["fetch"], "short": ["fetch"], "alone": [], "report": ["long", "short", "alone"]}
    seconds = {"fetch": 1.0, "long": 30.0, "short": 2.0, "alone": 20.0}
    assert schedule.longest_first(waits, seconds) == ["fetch", "long", "alone", "short", "report"]
    assert schedule.longest_first(waits, {}) == ["fetch", "long", "short", "alone", "report"]


def test_one_worker_runs_the_longest_chain_first_and_each_stage_after_its_inputs(tmp_path: Path) -> None:
    log = tmp_path / "log"
    project = make_project(tmp_path / "p", {name: f"echo {name} >> {log}; echo {name} > {name}" for name in ORDER})
    assert run_stages(project, 1, seconds={"b": 9.0, "d": 30.0}) == 0
    assert log.read_text().split() == ["d", "b", "a", "c"]


def test_a_killed_worker_is_reported_as_a_failure(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path / "p", {"a": "echo 1 > a", "b": "kill -9 $PPID"})
    assert run_stages(project, 2) == parallel.FAILED
    assert (project.root / "a").exists()
    assert capfd.readouterr().err.splitlines()[-1] == "ERROR: failed to reproduce 'b': its DVC process was killed"


def test_durations_come_from_the_latest_journal_entry(tmp_path: Path) -> None:
    project = Project(tmp_path)
    stages = ("train@a", "train@a", "classifier_reference@b", "reference@b", "report")
    entries = {
        f"folder/{age}": json.dumps({"dvc_stage": stage, "seconds": age + 3}) for age, stage in enumerate(stages)
    }
    entries |= {"train@c/1": "{", "train@d/1": "{}", "train@e/1": '{"dvc_stage": "train@e", "seconds": "x"}'}
    for age, (name, text) in enumerate(entries.items()):
        path = project.private / "journal" / f"{name}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        os.utime(path, (age, age))
    expected = {"train@a": 4.0, "classifier_reference@b": 5.0, "reference@b": 6.0, "report": 7.0}
    assert durations(project) == expected


@pytest.mark.parametrize(
    ("device", "threads", "processes", "expected"),
    [("cpu", 1, 1, 4), ("cpu", 3, 1, 1), ("cpu", 8, 1, 1), ("cpu", 1, 2, 2), ("cuda", 1, 1, 1), ("mps", 1, 1, 1)],
)
def test_workers_by_default_depend_on_cores_threads_and_processes(
    device: str,
    threads: int,
    processes: int,
    expected: int,
    tiny: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(4)), raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    changes = {"device": device, "threads": threads, "processes": processes}
    assert schedule.default_workers(tiny.runtime.model_copy(update=changes)) == expected


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
def test_one_worker_per_gpu_that_the_user_allows(
    nodes: tuple[str, ...],
    named: str | None,
    found: list[str],
    expected: int,
    tiny: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for node in nodes:
        (tmp_path / node).touch()
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.setattr(schedule, "available_cores", lambda: 4)
    if named is None:
        monkeypatch.delenv(gpus.VARIABLE, raising=False)
    else:
        monkeypatch.setenv(gpus.VARIABLE, named)
    runtime = tiny.runtime.model_copy(update={"device": "auto"})
    assert gpus.gpu_groups(runtime) == found
    assert schedule.default_workers(runtime) == expected
    in_pairs = gpus.gpu_groups(runtime.model_copy(update={"processes": 2}))
    assert in_pairs == [",".join(found[:2])] if found else in_pairs == []
    on_cpu = tiny.runtime.model_copy(update={"device": "cpu"})
    assert gpus.gpu_groups(on_cpu) == []
    assert schedule.default_workers(on_cpu) == 4


def test_cuda_without_a_gpu_is_refused_before_a_stage_starts(
    tiny: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpus, "DEVICES", tmp_path)
    monkeypatch.delenv(gpus.VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    settings = tiny.model_copy(update={"runtime": tiny.runtime.model_copy(update={"device": "cuda"})})
    stages = ["prepare@mnist", "train@vae-20d"]
    plan = Plan(stages, {stage: [] for stage in stages})
    with pytest.raises(TriptychError) as of_stage:
        pick_device("cuda")
    with Display(tmp_path, verbose=False) as display, pytest.raises(TriptychError) as of_repro:
        repro.repro(Project(tmp_path), settings, lambda: plan, stages, display=display)
    assert str(of_repro.value) == str(of_stage.value)
    repro._check_device(settings.runtime, ["prepare@mnist", "study@dirac"])
    (tmp_path / "nvidia0").touch()
    repro._check_device(settings.runtime, stages)


def assigned_gpus(project: Project) -> dict[str, str]:
    """Return the value of `CUDA_VISIBLE_DEVICES` in each stage."""
    return {name: (project.root / name).read_text().strip() for name in ORDER}


def stages_that_run_together(*names: str) -> dict[str, str]:
    """Return stages that write their GPU to a file, and end when all of them have done so."""
    waiting = " && ".join(f"test -s {name}" for name in names)
    return {name: f'echo "$CUDA_VISIBLE_DEVICES" > {name}; until {waiting}; do sleep 0.01; done' for name in names}


def test_stages_share_the_gpus_evenly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "c", [])
    pairs = make_project(tmp_path / "pairs", stages_that_run_together("a", "b") | stages_that_run_together("c", "d"))
    assert run_stages(pairs, 2, ("3", "5")) == 0
    found = assigned_gpus(pairs)
    assert {found["a"], found["b"]} == {found["c"], found["d"]} == {"3", "5"}
    crowd = make_project(tmp_path / "crowd", stages_that_run_together(*ORDER))
    assert run_stages(crowd, 4, ("3", "5")) == 0
    assert Counter(assigned_gpus(crowd).values()) == {"3": 2, "5": 2}


def test_a_gpu_is_free_only_when_its_stage_has_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(WAITS, "c", [])
    others = {name: f'echo "$CUDA_VISIBLE_DEVICES" > {name}' for name in "bcd"}
    project = make_project(tmp_path / "p", {"a": stages_that_run_together("a", *others)["a"]} | others)
    assert run_stages(project, 2, ("3", "5")) == 0
    assert assigned_gpus(project) == {"a": "3", "b": "5", "c": "5", "d": "5"}


def test_more_threads_than_cores_give_a_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "available_cores", lambda: 4)
    assert schedule.overload_warning(4, 1) == schedule.overload_warning(2, 2) == schedule.overload_warning(1, 8) == ""
    assert schedule.overload_warning(5, 1).startswith("5 stages at a time, one thread each, share 4 cores")
    assert schedule.overload_warning(2, 3).startswith("2 stages at a time, 3 threads each, share 4 cores")


def test_spawned_processes_give_the_results_of_forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS, workers are spawned."""
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("spawn"))
    project = make_project(tmp_path / "p", {"b": "echo 2 > b"})
    assert run_stages(project, 2) == 0
    assert parallel.begin_planning(project)() == Plan(["b"], {})


def test_the_lock_is_equal_to_that_of_plain_dvc(tmp_path: Path) -> None:
    projects = [make_project(tmp_path / name, SLOW) for name in ("plain", "one", "many")]
    subprocess.run(["dvc", "repro", "-q"], cwd=projects[0].root, env=environment(), check=True)
    assert run_stages(projects[1], 1) == 0
    assert run_stages(projects[2], 4) == 0
    locks = {(project.root / "dvc.lock").read_bytes() for project in projects}
    assert len(locks) == 1
    for project in projects:
        assert (project.root / "c").read_text() == "1\n2\n"
        assert parallel.begin_planning(project)() == Plan(list(ORDER), {})
    params = projects[2].params
    params.write_text(params.read_text().replace("one", "two"))
    (projects[2].root / "d").unlink()
    assert parallel.begin_planning(projects[2])() == Plan(list(ORDER), {"a": [], "b": [], "c": ["a", "b"], "d": []})
    subprocess.run(["dvc", "repro", "-q"], cwd=projects[2].root, env=environment(), check=True)
    assert parallel.begin_planning(projects[2])() == Plan(list(ORDER), {})


def test_a_stage_depends_on_a_place_in_a_list(tmp_path: Path) -> None:
    project = make_project(tmp_path, {"a": "echo 1 > a"}, {"s": [3, 4]})
    pipeline = tmp_path / "dvc.yaml"
    pipeline.write_text(pipeline.read_text().replace("- s", "- s.1"))
    assert run_stages(project, workers=1) == 0
    assert "s.1: 4" in (tmp_path / "dvc.lock").read_text()


def plain_dvc(project: Project, *arguments: str) -> int:
    with Display(project.root, verbose=False) as display:
        return dvc_program.run_stages(project, display, *arguments)


def forced_dvc(project: Project) -> int:
    return plain_dvc(project, "--force")


@pytest.mark.parametrize("edit", ["s/profile: one/profile: changed/", "1s/^/not: [yaml/"])
@pytest.mark.parametrize("run", [partial(run_stages, workers=1), plain_dvc, forced_dvc])
def test_the_lock_holds_the_settings_with_which_a_stage_began(
    tmp_path: Path, edit: str, run: Callable[[Project], int]
) -> None:
    project = make_project(tmp_path, {"a": f"sed -i.old '{edit}' params.yaml; echo 1 > a"})
    settings = project.params.read_bytes()
    assert run(project) == 0
    assert "profile: one" in (tmp_path / "dvc.lock").read_text()
    assert project.params.read_bytes() != settings
    project.params.write_bytes(settings)
    assert parallel.begin_planning(project)() == Plan(["a"], {})


@pytest.mark.parametrize("run", [partial(run_stages, workers=1), plain_dvc, forced_dvc])
def test_a_stage_runs_again_after_a_change_of_its_code(tmp_path: Path, run: Callable[[Project], int]) -> None:
    """The first change comes while the stage runs."""
    project = make_project(tmp_path, {"a": "cp code a; echo ran >> log; test -e changed || echo b > code"})
    pipeline, code, result = tmp_path / "dvc.yaml", tmp_path / "code", tmp_path / "a"
    pipeline.write_text(pipeline.read_text().replace("deps: []", "deps: [code]"))
    code.write_text("a\n")
    assert run(project) == 0
    (tmp_path / "changed").touch()
    assert (code.read_text(), result.read_text()) == ("b\n", "a\n")
    assert parallel.begin_planning(project)() == Plan(["a"], {"a": []})
    assert run(project) == 0
    assert result.read_text() == "b\n"
    assert parallel.begin_planning(project)() == Plan(["a"], {})
    code.write_text("a\n")
    assert run(project) == 0
    assert result.read_text() == "a\n"
    runs = 3 if run is forced_dvc else 2  # the last result is in DVC's cache
    assert (tmp_path / "log").read_text() == "ran\n" * runs


def test_an_edit_while_dvc_restores_a_result_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("fork"))
    project = make_project(tmp_path, {"a": "cp code a"})
    pipeline, code = tmp_path / "dvc.yaml", tmp_path / "code"
    pipeline.write_text(pipeline.read_text().replace("deps: []", "deps: [code]"))
    for text in ("a\n", "b\n"):
        code.write_text(text)
        assert run_stages(project, workers=1) == 0
    restore = Stage.checkout
    monkeypatch.setattr(Stage, "checkout", lambda stage, **options: (restore(stage, **options), code.write_text("c\n")))
    code.write_text("a\n")
    assert run_stages(project, workers=1) == 0
    assert ((tmp_path / "a").read_text(), code.read_text()) == ("a\n", "c\n")
    assert parallel.begin_planning(project)() == Plan(["a"], {"a": []})


def test_without_help_of_the_system_a_process_ends_with_its_parent(tmp_path: Path) -> None:
    """On macOS, a thread looks at the parent."""
    script = tmp_path / "child.py"
    script.write_text(
        "import os, time\n"
        "from triptych.core import process_ids\n"
        "process_ids.sys.platform = 'darwin'\n"
        "process_ids.end_with_parent(os.getppid())\n"
        "print(os.getpid(), flush=True)\n"
        "time.sleep(3600)\n"
    )
    words = ["sh", "-c", f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} & wait"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as parent:
        try:
            child = int(parent.stdout.readline())
            assert not is_gone(child)
        finally:
            parent.kill()
        wait_until(lambda: is_gone(child))


def test_after_a_failure_running_stages_finish_and_no_further_stage_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Stage a ends only after the scheduler has recorded the failure of b."""
    recorded = tmp_path / "recorded"
    receive = parallel._receive

    def receive_and_record(connection: Connection) -> parallel.Outcome:
        outcome = receive(connection)
        if outcome.error is not None:
            recorded.touch()
        return outcome

    monkeypatch.setattr(parallel, "_receive", receive_and_record)
    waiting = f"until test -e {recorded}; do sleep 0.01; done; echo 1 > a"
    project = make_project(tmp_path / "p", SLOW | {"a": waiting, "b": "exit 3"})
    assert run_stages(project, 2) == parallel.FAILED
    assert (project.root / "a").exists()
    assert not (project.root / "d").exists()
    assert "  a:\n" in (project.root / "dvc.lock").read_text()
    last = capfd.readouterr().err.splitlines()[-1]
    assert last == "ERROR: failed to reproduce 'b': failed to run: exit 3, exited with 3"
    (project.root / "dvc.yaml").write_text((project.root / "dvc.yaml").read_text().replace("exit 3", "echo 2 > b"))
    plan = parallel.begin_planning(project)()
    assert plan
    assert set(plan.waits) == {"b", "c", "d"}


def test_named_stages_run_with_those_that_they_depend_on(tmp_path: Path, tiny: Settings) -> None:
    """The entries of `dvc.lock` keep the order of the pipeline, although `d` runs first."""
    project = make_project(tmp_path / "p", SLOW)
    for targets in (["d"], ["b", "c"]):
        with Display(project.root, verbose=False) as display:
            planning = repro.begin_planning(project, targets, display)
            assert repro.repro(project, tiny, planning, targets, display=display, jobs=2) == 0
            planning = repro.begin_planning(project, targets, display)
            assert repro.repro(project, tiny, planning, targets, display=display) is None
        written = [name for name in "abcd" if (project.root / name).exists()]
        assert written == (["d"] if targets == ["d"] else ["a", "b", "c", "d"])
    named = (project.root / "dvc.lock").read_bytes()
    assert run_stages(project, 1) == 0
    assert (project.root / "dvc.lock").read_bytes() == named


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((), True), (("evaluate@vae-20d", "report"), True), (("--force", "report"), False), (("dvc.yaml",), False),
        (("other/dvc.yaml:a",), False), (("--glob", "evaluate@vae*"), False), (("evaluate@vae*",), False),
    ],
)  # fmt: skip
def test_only_stages_run_in_parallel(arguments: tuple[str, ...], expected: bool) -> None:
    assert repro.are_stages(arguments) is expected


def test_an_unknown_stage_is_named(tmp_path: Path) -> None:
    planning = parallel.begin_planning(make_project(tmp_path, SLOW), targets=["a", "nothing"])
    with pytest.raises(
        TriptychError, match=r"^DVC cannot plan a nothing .*: `dvc repro --dry a nothing` shows the error$"
    ):
        planning()


def test_an_invalid_pipeline_has_no_plan(tmp_path: Path) -> None:
    project = make_project(tmp_path / "p", SLOW)
    (project.root / "dvc.yaml").write_text("stages: 1\n")
    with pytest.raises(TriptychError, match="DVC cannot read the pipeline .'./dvc.yaml' validation failed: .* --dry`"):
        parallel.begin_planning(project)()


def test_a_killed_planning_process_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("fork"))
    monkeypatch.setattr(parallel, "_plan", lambda *_: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TriptychError, match="which stages to run was killed: run the command again"):
        parallel.begin_planning(make_project(tmp_path / "p", SLOW))()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.slow
def test_a_killed_triptych_repro_takes_its_stages_with_it(
    tmp_path: Path, tiny_params: dict, number: signal.Signals
) -> None:
    """The commands are killed where they wait, and the next run succeeds."""
    waiting = {name: f"echo $$ > {name}-pid; until test -e go; do sleep 0.1; done; echo 1 > {name}" for name in "ab"}
    project = make_project(tmp_path / "p", waiting, tiny_params)
    command = ["triptych", "repro", "--jobs", "2"]
    killed = subprocess.Popen(command, cwd=project.root, env=environment(), start_new_session=True)
    wait_until(lambda: len(started(project)) == 2)
    killed.send_signal(number)
    killed.wait()
    wait_until(lambda: all(is_gone(pid) for pid in started(project)))
    assert not (project.root / "a").exists()
    (project.root / "go").touch()
    subprocess.run(command, cwd=project.root, env=environment(), check=True)
    assert (project.root / "a").exists()


def interrupted(project: Project, *arguments: str, stages: int) -> tuple[str, str]:
    """Press Ctrl-C when so many stages of `triptych repro` run; return what it prints to stdout and stderr."""
    command = subprocess.Popen(
        ["triptych", "repro", *arguments],
        cwd=project.root,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    wait_until(lambda: len(started(project)) == stages)
    os.killpg(command.pid, signal.SIGINT)
    printed = command.communicate()
    assert command.returncode == INTERRUPTED
    assert all(is_gone(pid) for pid in started(project))
    return printed


def test_ctrl_c_ends_all_stages_and_prints_one_sentence(tmp_path: Path, tiny_params: dict) -> None:
    commands = {name: f"echo $$ > {name}-pid; exec sleep 3600" for name in "abcd"}
    project = make_project(tmp_path / "p", commands, tiny_params)
    said, errors = interrupted(project, "--jobs", "2", stages=2)
    assert re.fullmatch(r"stopped: ([ab] \(.+\)), ([ab] \(.+\)); 0 of 4 stages done\n", said)
    assert errors.strip() == "triptych: stopped; the same command continues a training from its last checkpoint"
    assert len(started(project)) == 2


def test_ctrl_c_ends_a_single_stage_with_its_output_shown(tmp_path: Path, tiny_params: dict) -> None:
    project = make_project(tmp_path / "p", {"a": "echo $$ > a-pid; exec sleep 3600"}, tiny_params)
    _, errors = interrupted(project, "--verbose", "a", stages=1)
    assert errors.endswith("triptych: stopped; the same command continues a training from its last checkpoint\n")


def test_an_untested_version_of_dvc_gets_plain_dvc_repro(
    tmp_path: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "p", {"b": 'echo "workers: $TRIPTYCH_WORKERS" > b'})
    monkeypatch.setattr(dvc_program, "TESTED_VERSIONS", ("3.1.0", "3.2.0"))
    with Display(project.root, verbose=False) as display:
        planning = repro.begin_planning(project, (), display)
        assert planning is None
        [line] = capfd.readouterr().out.splitlines()
        installed = importlib.metadata.version("dvc")
        assert line == f"running plain `dvc repro`, one stage at a time: DVC is {installed}, tested are 3.1.0, 3.2.0"
        assert repro.repro(project, tiny, planning, (), display=display, jobs=2) == 0
    assert (project.root / "b").read_text() == "workers: \n", "plain DVC runs the stage"
    [line] = capfd.readouterr().out.splitlines()
    assert re.fullmatch(r"1  b +\d+\.\d s", line)


def test_a_dry_run_fetches_nothing(tmp_path: Path, tiny: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project(tmp_path / "p", {"b": "touch b"})
    monkeypatch.setattr(dvc_program, "stale_sources", lambda *_: ["mnist"])
    with Display(project.root, verbose=False) as display:
        assert repro.repro(project, tiny, None, ("--dry",), display=display) == 0
    assert not (project.root / "b").exists()


def test_a_damaged_raw_file_is_fetched_again(tmp_path: Path, tiny: Settings) -> None:
    project = make_project(tmp_path / "p", {"b": "touch b"})
    project.raw("mnist").parent.mkdir(parents=True)
    project.raw("mnist").write_bytes(b"PK\3\4")
    assert dvc_program.stale_sources(project, tiny, ()) == ["mnist"]


def test_the_installed_version_of_dvc_is_tested() -> None:
    assert importlib.metadata.version("dvc") in dvc_program.TESTED_VERSIONS


def test_an_interrupted_worker_waits_for_its_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The interrupt comes after the start of a stage and before DVC waits for it; the test prolongs this moment."""
    monkeypatch.setattr(parallel, "PROCESSES", multiprocessing.get_context("fork"))
    elsewhere = SimpleNamespace(current_thread=lambda: None, _MainThread=threading._MainThread)
    monkeypatch.setattr(dvc.stage.run, "threading", elsewhere)  # outside the main thread, DVC does not block interrupts
    saving = "trap 'sleep 1; echo saved > saved; exit 1' INT; echo $$ > a-pid; while :; do sleep 0.1; done"
    project = make_project(tmp_path / "p", {"a": saving})

    def run() -> None:
        os.setsid()
        with suppress(KeyboardInterrupt):
            run_stages(project, 1)
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


def test_a_lock_entry_is_inserted_in_order() -> None:
    text = "schema: '2.0'\nstages:\n  c:\n    cmd: c\n  gone:\n    cmd: |\n      x\n\n      y\n  a:\n    cmd: a\n"
    expected = "schema: '2.0'\nstages:\n  a:\n    cmd: a\n  b:\n    cmd: b\n  c:\n    cmd: c\n"
    gone = "  gone:\n    cmd: |\n      x\n\n      y\n"
    assert with_entry(text, "  b:\n    cmd: b\n", ORDER) == expected + gone
    replaced = expected.replace("cmd: c", "cmd: d") + gone + "datasets:\n- name: x\n"
    assert with_entry(expected + gone + "datasets:\n- name: x\n", "  c:\n    cmd: d\n", ORDER) == replaced
    assert with_entry(HEAD, "  b:\n    cmd: b\n", ORDER) == HEAD + "  b:\n    cmd: b\n"
    for foreign in ("", "stages: {a: {cmd: a}}\n", "stages:\n    a:\n        cmd: a\n", "<<<<<<< HEAD\n"):
        assert with_entry(foreign, "  b:\n    cmd: b\n", ORDER) is None


def test_a_pipeline_without_stages_is_refused(tmp_path: Path) -> None:
    """It would look up to date; `dvc.yaml` may be empty, missing, or ignored by git."""
    settings = load(ROOT / "params.yaml")
    with (
        Display(tmp_path, verbose=False) as display,
        pytest.raises(TriptychError, match=r"^dvc\.yaml has no stage that"),
    ):
        repro.repro(Project(tmp_path), settings, lambda: Plan([], {}), ["--dry"], display=display)


def test_a_commit_with_new_results_is_not_dirty(tmp_path: Path) -> None:
    project = make_project(tmp_path, SLOW)
    for path in ("dvc.lock", "metrics/a.json", "plots/a.png"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text("old")
    for command in ("git init -q", "git add .", "git commit -q -m before"):
        subprocess.run(command.split(), cwd=tmp_path, env=environment(), check=True)
    (tmp_path / "dvc.lock").write_text("new")
    (tmp_path / "metrics" / "a.json").write_text("new")
    (tmp_path / "plots" / "a.png").unlink()
    commit, dirty = project.commit()
    assert len(commit) == 40
    assert not dirty
    project.params.write_text("profile: two")
    assert project.commit() == (commit, True)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("a bug"), PermissionError(1, "a bug")])
def test_an_interrupt_or_a_bug_restores_the_earlier_results(
    monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    """Also before click handles Ctrl-C, while the command waits for the fork server."""
    restored = []
    monkeypatch.setattr(end_of_command, "_restore_earlier_results", lambda: restored.append(True))
    with pytest.raises((SystemExit, RuntimeError, PermissionError)), errors_in_one_sentence():
        raise error
    assert restored


def test_one_triptych_repro_at_a_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = make_project(tmp_path, SLOW)
    with Display(project.root, verbose=False) as display:
        with repro.only_one(project, display):
            other = threading.Thread(target=lambda: repro.only_one(project, display).__enter__())
            other.start()
            wait_until(lambda: "already run" in capsys.readouterr().out)
            assert other.is_alive()
        other.join()


def test_missing_permissions_are_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, errors_in_one_sentence():
        raise PermissionError(13, "Permission denied", "report.html")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "triptych: report.html cannot be read or written: change its permissions\n"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("vae-20d", "vae-20d is an experiment, not a stage: name the stage evaluate@vae-20d"),
        ("dirac", "dirac is a study, not a stage: name the stage study@dirac"),
        ("evaluate@vae-20", "vae-20d"),
        ("study@dirak", "dirac"),
        ("evaluat@vae-20d", "^evaluat@vae-20d is no stage: write evaluate@vae-20d$"),
    ],
)
def test_a_target_that_is_no_stage_is_explained(tmp_path: Path, target: str, words: str) -> None:
    settings = load(ROOT / "params.yaml")
    with Display(tmp_path, verbose=False) as display, pytest.raises(TriptychError, match=words):
        repro.repro(Project(tmp_path), settings, None, [target], display=display)


def test_a_pattern_of_targets_is_left_to_dvc() -> None:
    repro._check_targets(load(ROOT / "params.yaml"), ["--glob", "evaluate@vae*"])

"""Run stages that do not depend on each other in parallel. DVC alone runs one stage at a time.

A planning process asks DVC which stages to run: those that have changed, and all stages that depend on them. Each of
these stages gets a worker process, in which DVC reproduces this stage with its own locks and run cache. On Linux a
worker is a fork of this process, which lets DVC read the pipeline once; elsewhere it is a new process. A worker writes
only its own entry into `dvc.lock`, at its place in DVC's order: the file does not depend on which stage ends first, and
no stage waits while DVC parses and rewrites the whole file, which takes seconds.

Private or undocumented parts of DVC that this module uses:

- `Repo(_wait_for_lock=True)`, `Repo.index`, `Repo.scm_context`, `Repo.state`, `dvc.repo.lock_repo`
- `dvc.repo.reproduce`: `collect_stages`, `get_active_graph`, `plan_repro`
- `dvc.stage.run.prepare_kwargs` (extended)
- `dvc.stage.run.cmd_run`, `Stage.save` (extended), `Dependency.save`, `Dependency.get_hash` (replaced): in
  `dvc_inputs.py`
- `Stage.reproduce`, `Stage.changed`, `Stage.addressing`, `Stage.dump`, `Stage.dvcfile._lockfile`
- `ParamsDependency.read_params` (replaced), `dvc.dependency.param.read_param_file`: in `dvc_params.py`
- the modules in `DVC_MODULES`; and in `repository/lock_file.py` `to_lockfile` and `dumps_yaml`

`runner/dvc.py` names the versions of DVC with which the tests of this module pass.
"""

from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from triptych.core.errors import TriptychError
from triptych.core.process_ids import end_with_parent
from triptych.core.progress import WORKERS_VARIABLE
from triptych.repository.lock_file import write_entry
from triptych.repository.project import Project
from triptych.runner.display import REFRESH_SECONDS, Display
from triptych.runner.dvc_inputs import record_inputs_at_start
from triptych.runner.dvc_params import share_params
from triptych.runner.gpus import VARIABLE as GPUS_VARIABLE
from triptych.runner.schedule import Plan, longest_first

if TYPE_CHECKING:
    from dvc.repo import Repo

FAILED = 255  # the exit status of `dvc repro` after a failure
KILLED = "its DVC process was killed"
PROCESSES = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")
DVC_MODULES = (  # imported once before the workers are forked
    "configobj", "dulwich.ignore", "dulwich.index", "dvc.data_cloud", "dvc.output", "dvc.parsing.interpolate",
    "dvc.repo.artifacts", "dvc.repo.datasets", "dvc.repo.index", "dvc.repo.plots", "dvc.repo.reproduce",
    "dvc.repo.stage", "dvc.rwlock", "dvc.scm", "dvc.stage.cache", "dvc.stage.run", "dvc.stage.serialize",
    "dvc.utils.strictyaml", "dvc_data.hashfile.status", "fsspec.implementations.memory", "ruamel.yaml",
)  # fmt: skip

Planning = Callable[[], Plan]
"""Waits for a planning process. Raises TriptychError if DVC cannot plan."""


class Outcome(NamedTuple):
    """What the function of a worker returned, or the messages of the error that it raised and of its causes."""

    result: Any = None
    error: str | None = None


def begin_planning(project: Project, display: Display | None = None, targets: Sequence[str] = ()) -> Planning:
    """Start a process that finds out which stages to run for these targets of `dvc repro`, by default for all stages.

    Its output is dropped, except for a verbose display.
    """
    output = None if display and display.verbose else os.devnull
    connection = _start_worker(_plan, project.root, {}, list(targets), output, daemon=True)

    def plan() -> Plan:
        while display and not connection.poll(REFRESH_SECONDS):
            display.refresh()
        outcome = _receive(connection)
        if outcome.error == KILLED:
            raise TriptychError("the process that asks DVC which stages to run was killed: run the command again")
        if outcome.error is not None:
            reason = " ".join(outcome.error.split())
            what = f"plan {' '.join(targets)}" if targets else "read the pipeline"
            command = " ".join(["dvc repro --dry", *targets])
            raise TriptychError(f"DVC cannot {what} ({reason}): `{command}` shows the error")
        return Plan(**outcome.result)

    return plan


def run(
    project: Project,
    plan: Plan,
    workers: int,
    variables: Mapping[str, str],
    display: Display,
    *,
    seconds: Mapping[str, float],
    gpus: Sequence[str] = (),
) -> int:
    """Run the stages of a plan, `workers` at a time, with these environment variables; return the exit status.

    `seconds` are the expected durations of the stages. `gpus` are groups of GPUs: a stage gets the group that the
    fewest running stages use. After a failure no further stage starts, and the error is printed last. Raises
    KeyboardInterrupt after Ctrl-C, when all stages have ended.
    """
    place = _read_pipeline(project.root) if PROCESSES.get_start_method() == "fork" else project.root
    order = longest_first(plan.waits, seconds)
    graph = TopologicalSorter(plan.waits)
    graph.prepare()
    ready: list[str] = []
    running: dict[Connection, tuple[str, str]] = {}
    failures: list[str] = []
    interrupts: list[int] = []
    previous_handler = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        while running or (graph.is_active() and not (interrupts or failures)):
            ready = sorted([*ready, *graph.get_ready()], key=order.index)
            while ready and len(running) < workers and not (interrupts or failures):
                used = [group for _, group in running.values()]
                stage, group = ready.pop(0), min(gpus, key=used.count, default="")
                environment = {**variables, WORKERS_VARIABLE: str(workers)} | ({GPUS_VARIABLE: group} if group else {})
                arguments = stage, plan.order, display.started(stage)
                running[_start_worker(reproduce, place, environment, *arguments)] = stage, group
            for worker in wait(list(running), REFRESH_SECONDS):
                stage, _ = running.pop(worker)
                outcome = _receive(worker)
                display.ended(stage, failed=outcome.error is not None, interrupted=bool(interrupts))
                if outcome.error is not None:
                    which = f"failed to reproduce '{stage}': " if outcome.error == KILLED else ""
                    failures.append(which + outcome.error)
                graph.done(stage)
            display.refresh()
    finally:
        signal.signal(signal.SIGINT, previous_handler)
    if interrupts:
        raise KeyboardInterrupt
    for failure in failures:
        display.error(f"ERROR: {failure}")
    return FAILED if failures else 0


def _read_pipeline(root: Path) -> Repo:
    """Return DVC's repository with all stages, for workers to inherit; it has no open database."""
    for name in DVC_MODULES:
        importlib.import_module(name)
    from dvc.repo import Repo

    repo = Repo(str(root), _wait_for_lock=True)
    share_params(repo.index.stages)  # DVC keeps them
    repo.state.close()  # a connection to SQLite must not be used in a fork; DVC opens another one
    return repo


def reproduce(repo: Repo, name: str, order: list[str], output: str | None = None) -> None:
    """Let DVC reproduce one stage, and write its entry into `dvc.lock` at its place in the order.

    What DVC and the stage print is appended to the file `output`. Raises TriptychError if the stage fails.
    """
    from dvc.repo import lock_repo

    _redirect(output)
    stage = next(stage for stage in repo.index.stages if stage.addressing == name)
    repo.scm_context.quiet = True
    try:
        with lock_repo(repo), repo.scm_context():
            if stage.reproduce():
                lock = stage.dvcfile._lockfile
                if not write_entry(Path(lock.path), stage, order):
                    stage.dump(update_pipeline=False)
                repo.scm_context.track_file(lock.relpath)
    except Exception as error:
        raise TriptychError(f"failed to reproduce '{name}'") from error


def _redirect(output: str | None) -> None:
    """Let this process and its children append what they print to a file, if there is one."""
    if output:
        descriptor = os.open(output, os.O_WRONLY | os.O_APPEND)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)


def _plan(repo: Repo, targets: list[str], output: str | None) -> dict[str, Any]:
    """Return the fields of a `Plan`, found as `dvc repro` does; stages that depend on a change are not examined."""
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo import lock_repo
    from dvc.repo.reproduce import collect_stages, get_active_graph, plan_repro

    _redirect(output)
    logging.disable()
    with lock_repo(repo):
        graph = get_active_graph(repo.index.graph)
        pipeline = [stage for stage in repo.index.stages if stage.path_in_repo == PROJECT_FILE]
        stages = [stage for stage in plan_repro(graph, pipeline) if stage in pipeline]
        share_params(stages)
        wanted = plan_repro(graph, collect_stages(repo, targets)) if targets else stages
        waits: dict[str, list[str]] = {}
        for stage in stages:
            changed = [other.addressing for other in graph.successors(stage) if other.addressing in waits]
            if stage in wanted and (changed or stage.changed()):
                waits[stage.addressing] = changed
    return {"order": [stage.name for stage in stages], "waits": waits}


def _start_worker(
    function: Callable, place: Path | Repo, variables: Mapping[str, str], *arguments: object, daemon: bool = False
) -> Connection:
    """Call `function(repo, *arguments)` in a new process; return the connection that delivers its outcome.

    The new process opens the repository in the folder `place`. Only a fork can take over a repository. The new process
    is killed when this process ends, and on Linux when this thread ends. A daemon is not waited for.
    """
    receiver, sender = PROCESSES.Pipe(duplex=False)
    work = sender, place, dict(variables), function, arguments
    process = PROCESSES.Process(target=_work, args=work, daemon=daemon)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a fork would lose it before it sets its own handler
    try:
        process.start()
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sender.close()
    return receiver


def _receive(connection: Connection) -> Outcome:
    """Wait until a worker has ended, and return its outcome."""
    with connection:
        try:
            return Outcome(*json.loads(connection.recv_bytes()))
        except EOFError:
            return Outcome(error=KILLED)


def _work(
    connection: Connection, place: Path | Repo, variables: dict[str, str], function: Callable, arguments: tuple
) -> None:
    """Call the function in the worker, and send the outcome."""
    end_with_parent(multiprocessing.parent_process().pid)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.chdir(place if isinstance(place, Path) else place.root_dir)
    os.environ.update(variables)
    try:
        from dvc.repo import Repo
        from dvc.stage import run
        from tqdm import tqdm

        if sys.platform == "linux":  # elsewhere, only stages that are Triptych's own commands end with DVC
            run.prepare_kwargs = partial(_options_of_command, run.prepare_kwargs)
        record_inputs_at_start()
        tqdm.monitor_interval = 0  # a progress bar of DVC's would start a thread, which a fork would lose
        with Repo(_wait_for_lock=True) if isinstance(place, Path) else place as repo:
            outcome = Outcome(function(repo, *arguments))
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with suppress(ChildProcessError):  # wait for the stage, if the interrupt came just before DVC waits for it
            while True:
                os.wait()
        outcome = Outcome(error="interrupted")
    except Exception as error:
        messages, cause = [], error
        while cause:
            messages.append(str(cause))
            cause = cause.__cause__
        outcome = Outcome(error=": ".join(messages) or type(error).__name__)
    connection.send_bytes(json.dumps(outcome).encode())


def _options_of_command(of_dvc: Callable[..., dict], *arguments: object, **keywords: object) -> dict[str, Any]:
    """Return DVC's options for the process of a stage's command, which then ends with this process."""
    return of_dvc(*arguments, **keywords) | {"preexec_fn": partial(end_with_parent, os.getpid())}

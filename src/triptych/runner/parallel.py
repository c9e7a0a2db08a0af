"""Lanes: stages that do not wait for each other, side by side. What `triptych repro` does where DVC takes one by one.

One look through DVC finds the stages that are to run: what has changed, and whatever depends on it. Each of them, once
those that it waits for are through, gets a process of its own in which DVC reproduces it alone: with DVC's locks, its
run cache, and its judgement whether there is anything to do after all. On Linux such a process is a fork of this one,
which has imported DVC and done nothing with it; elsewhere it starts from nothing. A stage's entry in `dvc.lock` is
spliced into the text at its place in DVC's own order, so that the file does not tell who finished first; DVC would
parse and write all of it, in seconds, while every other lane waits.
"""

from __future__ import annotations

import importlib
import json
import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial, reduce
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.core.errors import TriptychError
from triptych.core.json_files import read_json
from triptych.core.lock_file import splice
from triptych.core.progress import LANES
from triptych.runner import gpus

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import Stage

    from triptych.core.project import Project
    from triptych.training.settings import Runtime

FAILED = 255  # DVC's own exit status
OF_DVC = (  # what every process would import by itself
    "configobj",
    "dulwich.ignore",
    "dulwich.index",
    "dvc.data_cloud",
    "dvc.output",
    "dvc.parsing.interpolate",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.index",
    "dvc.repo.plots",
    "dvc.repo.reproduce",
    "dvc.repo.stage",
    "dvc.rwlock",
    "dvc.scm",
    "dvc.stage.cache",
    "dvc.stage.run",
    "dvc.stage.serialize",
    "dvc.utils.strictyaml",
    "dvc_data.hashfile.status",
    "fsspec.implementations.memory",
    "ruamel.yaml",
)
PROCESSES = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


@dataclass(frozen=True)
class Plan:
    """What is to run. `order` holds all stages as DVC takes them; `waits`, by stage to run, those it waits for."""

    order: list[str]
    waits: dict[str, list[str]]


def gpus_for(runtime: Runtime) -> list[str]:
    """The GPUs that stages of these settings share, in groups of as many as a training takes.

    None where they are none of CUDA's, or cannot be counted.
    """
    found, each = gpus.visible() if runtime.device in ("auto", "cuda") else [], runtime.processes
    groups = [found[start : start + each] for start in range(0, len(found) - each + 1, each)]
    return [",".join(group) for group in groups or [found] if group]


def default_lanes(runtime: Runtime) -> int:
    """A lane a GPU; one where there is a GPU of another kind; else as many as the cores of this process can feed."""
    found = gpus_for(runtime)
    if found or runtime.device in ("cuda", "mps") or (runtime.device == "auto" and gpus.uncounted()):
        return max(1, len(found))
    return max(1, cores() // (runtime.threads * runtime.processes))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def crowding(lanes: int, threads: int) -> str:
    """What to tell whoever has more threads side by side than there are cores; empty where each has one."""
    if lanes == 1 or lanes * threads <= cores():
        return ""
    each = "one thread" if threads == 1 else f"{threads} threads"
    return (
        f"{lanes} stages at a time, {each} each, share {cores()} cores: a stage takes longer than it would alone "
        "(its threads belong to its result and stay as they are)"
    )


Look = Callable[[], "Plan | None"]
"""Waits for the plan of a look that has begun; None where DVC cannot make one, for a reason `dvc repro` will tell."""


def begin_look(project: Project) -> Look:
    """Begin to look for what is to run, in a process of its own."""
    connection = _start(_plan, project.root, {}, daemon=True)

    def plan() -> Plan | None:
        answer = _answer(connection)
        return Plan(**answer) if isinstance(answer, dict) else None

    return plan


def run(project: Project, plan: Plan, lanes: int, variables: Mapping[str, str], devices: Sequence[str] = ()) -> int:
    """Run what the plan holds, with these variables added and on these GPUs; return the exit status.

    After a failure nothing new starts, and its message is the last. Raises KeyboardInterrupt after Ctrl-C, once
    everything has ended, which the terminal has told, too.
    """
    if PROCESSES.get_start_method() == "fork":
        for name in OF_DVC:
            importlib.import_module(name)
    work = Work(by_length(plan.waits, durations(project)), plan.waits)
    shares = gpus.Shares(list(devices))
    running: dict[Connection, tuple[str, dict[str, str]]] = {}
    interrupts: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: interrupts.append(number))
    try:
        while running or not (interrupts or work.failures or work.done):
            if not (interrupts or work.failures):
                for stage in work.take(lanes - len(running)):
                    device = shares.take()
                    found = {**variables, LANES: str(lanes), **device}
                    running[_start(reproduce, project.root, found, stage, plan.order)] = stage, device
            for connection in wait(list(running)):
                stage, device = running.pop(connection)
                work.finish(stage, _answer(connection))
                shares.give_back(device)
    finally:
        signal.signal(signal.SIGINT, before)
    if interrupts:
        raise KeyboardInterrupt
    for failure in work.failures:
        print(f"ERROR: {failure}", file=sys.stderr)
    return FAILED if work.failures else 0


@dataclass
class Work:
    """The stages of a plan that have not ended, the most urgent first."""

    waiting: list[str]
    waits: Mapping[str, Sequence[str]]
    unfinished: set[str] = field(init=False)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.unfinished = set(self.waiting)

    @property
    def done(self) -> bool:
        return not self.unfinished

    def take(self, count: int) -> list[str]:
        """At most `count` stages that wait for nothing more; they are the caller's now."""
        taken = [stage for stage in self.waiting if self.unfinished.isdisjoint(self.waits[stage])][:count]
        self.waiting = [stage for stage in self.waiting if stage not in taken]
        return taken

    def finish(self, stage: str, failure: object) -> None:
        """A stage has ended: with an empty string if all went well, else with what went wrong."""
        self.unfinished.remove(stage)
        if failure != "":
            self.failures.append(str(failure or f"failed to reproduce '{stage}': its DVC was killed"))


def by_length(waits: Mapping[str, Sequence[str]], seconds: Mapping[str, float]) -> list[str]:
    """The stages, those first that begin the longest chain of work; of equals, in the order given.

    A stage of unknown duration counts a second, which leaves the number of stages to decide.
    """
    remaining: dict[str, float] = {}
    for stage in reversed(waits):  # DVC's order has a stage after those that it waits for
        after = [remaining[later] for later, earlier in waits.items() if stage in earlier]
        remaining[stage] = seconds.get(stage, 1.0) + max(after, default=0.0)
    return sorted(waits, key=lambda stage: -remaining[stage])


def durations(project: Project) -> dict[str, float]:
    """Seconds of the latest execution of each stage that the journal knows; a hint, which no damaged entry may stop."""
    found = {}
    for folder in (project.private / "journal").glob("*@*"):
        entries = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime)
        if entries:
            kind, _, name = folder.name.replace("classifier@classifier-", "classifier@").partition("@")
            stage = kind if name == "all" else f"{kind}@{name}"
            with suppress(TriptychError, TypeError, ValueError):
                found[stage] = float(read_json(entries[-1])["seconds"])
    return found


def _start(
    function: Callable,
    root: Path,
    variables: Mapping[str, str],
    *words: Any,  # noqa: ANN401
    daemon: bool = False,
) -> Connection:
    """Call a function in a process of its own; the connection gives what it returns, as JSON.

    A daemon ends with this process, whatever it has done by then.
    """
    ours, theirs = PROCESSES.Pipe(duplex=False)
    with _interrupts_held():  # until it has a handler of its own: it would take ours over, and hear nothing
        PROCESSES.Process(target=_work, args=(theirs, root, dict(variables), function, words), daemon=daemon).start()
    theirs.close()
    return ours


@contextmanager
def _interrupts_held() -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _answer(connection: Connection) -> object:
    """What the process returned; None if it was killed."""
    with connection:
        try:
            return json.loads(connection.recv_bytes())
        except EOFError:
            return None


def _work(connection: Connection, root: Path, variables: Mapping[str, str], function: Callable, words: tuple) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    os.chdir(root)
    os.environ.update(variables)
    connection.send_bytes(json.dumps(_guarded(function, *words)).encode())


def _guarded(function: Callable, *words: Any) -> object:  # noqa: ANN401
    """What the function returns, or how it failed in DVC's words."""
    try:
        from dvc.repo import Repo

        with Repo(_wait_for_lock=True) as repo:
            return function(repo, *words)
    except KeyboardInterrupt:
        _wait_for_stage()
        return "interrupted"
    except Exception as error:
        causes: list[BaseException | None] = [error]
        while causes[-1]:
            causes.append(causes[-1].__cause__)
        return ": ".join(str(cause) for cause in causes[:-1]) or type(error).__name__


def _wait_for_stage() -> None:
    """An interrupt in the moment before DVC waits for its stage leaves the stage alone, which ends by the same one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(ChildProcessError):
        while True:
            os.wait()


def _plan(repo: Repo) -> dict[str, Any]:
    """As `dvc repro` goes about it, except that what depends on a change needs no look."""
    from dvc.dvcfile import PROJECT_FILE
    from dvc.repo import lock_repo
    from dvc.repo.reproduce import get_active_graph, plan_repro

    logging.disable()
    with lock_repo(repo):
        graph = get_active_graph(repo.index.graph)
        wanted = [stage for stage in repo.index.stages if stage.path_in_repo == PROJECT_FILE]
        stages = [stage for stage in plan_repro(graph, wanted) if stage in wanted]
        _share_params(stages)
        waits: dict[str, list[str]] = {}
        for stage in stages:
            changed = [other.addressing for other in graph.successors(stage) if other.addressing in waits]
            if changed or stage.changed():
                waits[stage.addressing] = changed
    return {"order": [stage.name for stage in stages], "waits": waits}


def _share_params(stages: Sequence[Stage]) -> None:
    """Let stages compare their settings with one reading of params.yaml.

    DVC parses the file once a stage, and walks all of it for each key: both grow with the square of the experiments.
    """
    from dvc.dependency import ParamsDependency
    from dvc.dependency.param import read_param_file

    read = cache(lambda dependency_path, fs: read_param_file(fs, dependency_path))
    for dependency in (each for stage in stages for each in stage.deps):
        if isinstance(dependency, ParamsDependency) and dependency.params and dependency.exists:
            found = _chosen(read(dependency.fs_path, dependency.fs), dependency.params)
            dependency.read_params = partial(dict, found)


def _chosen(settings: object, keys: Sequence[str]) -> dict[str, Any]:
    """The values of these dotted keys, as far as there are any."""
    found = {}
    for key in keys:
        with suppress(KeyError, TypeError):
            found[key] = reduce(lambda part, name: part[name], key.split("."), settings)
    return found


def reproduce(repo: Repo, name: str, order: list[str]) -> str:
    """Let DVC reproduce one stage alone, and put its entry into `dvc.lock` at its place in the order."""

    def and_record(stage: Stage, **options: Any) -> Stage | None:  # noqa: ANN401 (DVC's)
        done = stage.reproduce(**options)
        if done:
            lock = stage.dvcfile._lockfile
            if not splice(Path(lock.path), done, order):
                done.dump(update_pipeline=False)
            repo.scm_context.track_file(lock.relpath)
        return done

    repo.scm_context.quiet = True
    repo.reproduce([name], single_item=True, repro_fn=and_record)
    return ""

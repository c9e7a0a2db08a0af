"""Stages between machines: what a job is to make, and results that DVC takes from the remote instead of making them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from copy import copy
from typing import TYPE_CHECKING

from triptych.core.errors import TriptychError
from triptych.runner import parallel

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dvc.repo import Repo
    from dvc.stage import PipelineStage

    from triptych.core.project import Project
    from triptych.settings.params import Settings

RUNS = "runs"  # DVC's folder of run caches, in its cache and in a remote


def stages_of(settings: Settings, name: str) -> list[str]:
    """The stages of an experiment or a study, in order. Raises TriptychError if there is no such one."""
    if name in settings.studies:
        return [f"study@{name}"]
    settings.experiment(name)
    return [f"train@{name}", f"evaluate@{name}"]


def workplace_of(stage: str) -> str:
    """What a stage's checkpoints are called, before the `@`."""
    kind, _, item = stage.partition("@")
    return f"{kind}-{item}" if kind in ("evaluate", "classifier") else item


@contextmanager
def open_repo(project: Project) -> Iterator[Repo]:
    """DVC's view of a project, in its folder: DVC takes names of stages as relative to where one is."""
    from dvc.repo import Repo

    with chdir(project.root), Repo(str(project.root), _wait_for_lock=True) as repo:
        repo.scm_context.quiet = True
        yield repo


def above(repo: Repo, order: Sequence[str], targets: Iterable[str]) -> list[str]:
    """The stages that these depend on, themselves left out, in DVC's order."""
    import networkx as nx

    graph, wanted = repo.index.graph, set(targets)
    stages = [stage for stage in graph if stage.addressing in wanted]
    found = {other.addressing for stage in stages for other in nx.descendants(graph, stage)} - wanted
    return [name for name in order if name in found]


def is_current(repo: Repo, name: str, *, without_data: bool = False) -> bool:
    """Whether a stage is up to date, or would be if its data were here."""
    from dvc.repo import lock_repo

    with lock_repo(repo):
        return not repo.stage.load_one(name=name).changed(allow_missing=without_data)


def restore(repo: Repo, name: str, order: Sequence[str]) -> bool:
    """Bring a stage up to date without running it; tell whether that was possible.

    Its results come from the remote, where `dvc.lock` knows them, or some machine has had the same inputs.
    """
    from dvc.exceptions import CheckoutError, DvcException

    if is_current(repo, name):
        return True
    if is_current(repo, name, without_data=True):
        with suppress(CheckoutError):
            repo.pull(name)
        if is_current(repo, name):
            return True
    stage = repo.stage.load_one(name=name)
    try:
        found = _known_run(repo, stage)
    except DvcException:  # such as an input that is nowhere
        return False
    if not found:
        return False
    for odb, objects in found.get_used_objs().items():
        repo.cloud.pull(objects, odb=odb)
    if not found.outs_cached():
        return False
    parallel.reproduce(repo, name, list(order))
    return True


def bring_inputs(repo: Repo, name: str) -> None:
    """Take from the remote whatever a stage reads and is not there."""
    for dependency in repo.stage.load_one(name=name).deps:
        if not dependency.exists:
            repo.pull(dependency.def_path)


def send(repo: Repo, name: str) -> None:
    """Push what a stage has written, metrics and all, and then its entry in the run cache.

    `dvc push --run-cache` leaves the metrics, which are git's, behind.
    """
    stage = repo.stage.load_one(name=name)
    found = _known_run(repo, stage)
    for part in filter(None, (stage, found)):
        for odb, objects in part.get_used_objs().items():
            if repo.cloud.push(objects, odb=odb).failed:
                raise TriptychError(f"DVC could not push all that {name} has written: run the job again")
    if found:
        remote = repo.cloud.get_remote()
        here, there = _runs(repo, stage), remote.fs.join(remote.path, RUNS, *_key_parts(stage))
        for path in repo.cache.legacy.fs.find(here):
            value = repo.cache.legacy.fs.name(path)
            remote.fs.makedirs(there, exist_ok=True)
            remote.fs.put_file(path, remote.fs.join(there, value))


def _known_run(repo: Repo, stage: PipelineStage) -> PipelineStage | None:
    """The run of this stage, with the inputs of now, that this machine or the remote knows of."""
    from dvc.stage.cache import _can_hash

    probe = copy(stage)
    probe.deps = [copy(dependency) for dependency in stage.deps]
    probe.save_deps()
    if not _can_hash(probe):
        return None
    remote, local = repo.cloud.get_remote(), repo.cache.legacy.fs
    there, here = remote.fs.join(remote.path, RUNS, *_key_parts(probe)), _runs(repo, probe)
    for path in remote.fs.find(there) if remote.fs.exists(there) else ():
        place = local.join(here, remote.fs.name(path))
        if not local.exists(place):
            local.makedirs(here, exist_ok=True)
            remote.fs.get_file(path, f"{here}.part")  # not beside the others: DVC would take it for one of them
            local.mv(f"{here}.part", place)
    cached = repo.stage_cache._load(probe)
    return repo.stage_cache._create_stage(cached, wdir=stage.wdir) if cached else None


def _key_parts(stage: PipelineStage) -> tuple[str, str]:
    from dvc.stage.cache import _get_stage_hash

    key = _get_stage_hash(stage)
    return key[:2], key


def _runs(repo: Repo, stage: PipelineStage) -> str:
    return repo.cache.legacy.fs.join(repo.stage_cache.cache_dir, *_key_parts(stage))

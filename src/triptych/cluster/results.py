"""Results of finished stages: a job saves them in the folder of its submission, `triptych collect` takes them.

Jobs and submitter share DVC's cache, so that large outputs are there as soon as DVC has run the stage. The folder of a
result holds the rest:

| entry | content |
| --- | --- |
| `dvc.lock` | the entry of the stage in the job's lock file |
| `files/` | outputs that are not in DVC's cache (`cache: false` in `dvc.yaml`): the metrics |
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from triptych.cluster.submission import Submission
from triptych.core.errors import TriptychError
from triptych.core.files import atomic_file, atomic_folder, copy_file
from triptych.core.messages import one_line
from triptych.repository.lock_file import HEAD, LOCK, entry_in, with_entry
from triptych.repository.project import Project

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

FILES = "files"


def check_out_inputs(project: Project, stage: str) -> None:
    """Copy missing inputs of a stage from DVC's cache. Raises TriptychError if the cache does not have them."""
    from dvc.exceptions import DvcException

    with _open_repo(project) as repo:
        missing = [each.def_path for each in repo.stage.load_one(name=stage).deps if not each.exists]
        try:
            if missing:
                repo.checkout(missing)
        except DvcException as error:
            raise TriptychError(
                f"{stage} needs {', '.join(missing)}, which DVC's cache does not have ({one_line(error)}): run "
                "`triptych repro` for the stages that write them, or `dvc add` own images and commit the .dvc file, "
                "then submit again"
            ) from error


def save_result(project: Project, stage: str, folder: Path) -> None:
    """Save the result of a stage that DVC has just run in `project`."""
    with _open_repo(project) as repo:
        uncached = [Path(out.fs_path) for out in repo.stage.load_one(name=stage).outs if not out.use_cache]
    entry = entry_in((project.root / LOCK).read_text(encoding="utf-8"), stage)
    if entry is None:
        raise TriptychError(f"{stage} has no entry in the job's {LOCK}: submit it again")
    with atomic_folder(folder) as draft:
        (draft / LOCK).write_text(HEAD + entry, encoding="utf-8")
        for path in uncached:
            copy_file(path, draft / FILES / path.relative_to(project.root))


def add_lock_entries(project: Project, submission: Submission, stages: Iterable[str], order: Sequence[str]) -> None:
    """Add the lock entries of these stages, as far as they have results, to the project's lock file."""
    lock = project.root / LOCK
    _write(lock, _with_results(_read(lock), submission, stages, order))


def take_results(project: Project, submission: Submission, missing: Sequence[str], order: Sequence[str]) -> list[str]:
    """Take results for stages that are not up to date; return the stages that are still missing.

    A result is taken if DVC finds that its command, settings, code and inputs are those of the project now. DVC reads
    this comparison from the lock file, therefore the entries of all results are added first. The entries of results
    that do not fit are then removed. No stage runs.
    """
    lock = project.root / LOCK
    found = [stage for stage in missing if submission.result(stage).exists()]
    if not found:
        return list(missing)
    taken: list[str] = []
    with _open_repo(project) as repo, repo.lock:
        before = _read(lock)
        try:
            _write(lock, _with_results(before, submission, found, order))
            stages = {stage.addressing: stage for stage in repo.index.stages}
            for name in found:
                if _take(project, repo, stages[name], submission.result(name) / FILES):
                    taken.append(name)
        finally:
            _write(lock, _with_results(before, submission, taken, order))
    return [stage for stage in missing if stage not in taken]


def _take(project: Project, repo: Repo, stage: PipelineStage, files: Path) -> bool:
    """Put the outputs of a stage into place if its lock entry fits the project; return whether it is up to date."""
    changes = stage.status().get(stage.addressing, [])
    fits = all(isinstance(change, dict) and set(change) == {"changed outs"} for change in changes)
    if not fits or any(out.changed_cache() for out in stage.outs if out.use_cache):
        return False
    for path in files.rglob("*"):
        if path.is_file():
            copy_file(path, project.root / path.relative_to(files))
    stage.checkout(force=True)
    with repo.scm_context(quiet=True):
        stage.ignore_outs()
    return not stage.status()


@contextmanager
def _open_repo(project: Project) -> Iterator[Repo]:
    """Open DVC's view of a project, in its folder, since DVC reads paths relative to the working directory."""
    from dvc.repo import Repo

    with chdir(project.root), Repo(str(project.root), _wait_for_lock=True) as repo:
        repo.scm_context.quiet = True
        yield repo


def _with_results(text: str, submission: Submission, stages: Iterable[str], order: Sequence[str]) -> str:
    """Return the text of a lock file with the entries of these stages, as far as they have results."""
    locks = [submission.result(stage) / LOCK for stage in stages]
    entries = "".join(path.read_text(encoding="utf-8").removeprefix(HEAD) for path in locks if path.exists())
    if not entries:
        return text
    changed = with_entry(text or HEAD, entries, order)
    if changed is None:
        raise TriptychError(f"{LOCK} is not laid out as DVC writes it: run `git checkout {LOCK}`, or `dvc repro`")
    return changed


def _read(lock: Path) -> str:
    return lock.read_text(encoding="utf-8") if lock.exists() else ""


def _write(lock: Path, text: str) -> None:
    if not text:  # DVC does not accept a lock file without entries
        lock.unlink(missing_ok=True)
        return
    with atomic_file(lock) as draft:
        draft.write_text(text, encoding="utf-8")

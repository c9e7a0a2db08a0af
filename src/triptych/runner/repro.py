"""`triptych repro`: DVC's pipeline, with the checks that DVC cannot make."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

from triptych.data.raw_images import read_origin
from triptych.data.sources import resolve_source
from triptych.data.user_folder import folder_checksum
from triptych.runner import fork_server, parallel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from triptych.core.project import Project
    from triptych.settings.params import Settings

DVC_QUIET = {"DVC_NO_ANALYTICS": "1", "DO_NOT_TRACK": "true"}


def dvc(project: Project, *words: str, **variables: str) -> int:
    """Run a DVC command of this environment, with these variables added, in the project; return its exit status."""
    command = [sys.executable, "-m", "dvc", *words]
    environment = {**os.environ, **DVC_QUIET, **variables}
    process = subprocess.Popen(command, cwd=project.root, env=environment)  # noqa: S603 (the user's own words)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # DVC and its stage have been told too; they leave everything in order
            continue


def stale_sources(project: Project, settings: Settings) -> list[str]:
    """Data sets that would come out differently now: DVC watches neither the user's folder nor `TRIPTYCH_DATA`."""
    kind, stale = resolve_source(settings.active.source), []
    for name, dataset in settings.datasets.items():
        if project.raw(name).exists():
            fetched, source = read_origin(project.raw(name))
            if fetched != kind or (kind == "folder" and folder_checksum(dataset.images) not in source):
                stale.append(name)
    return stale


def begin(project: Project, words: Sequence[str]) -> parallel.Look | None:
    """Begin to look for what there is to do, which takes seconds: what else there is to read can be read meanwhile.

    With words, which are DVC's to understand, there is no look.
    """
    versioned = (project.root / ".git").exists() or project.commit()[0] != "none"
    local = project.root / ".dvc" / "config.local"
    without_git = local.exists() and "no_scm" in local.read_text(encoding="utf-8")
    if versioned == without_git:  # an unpacked archive has no history; DVC must be told
        dvc(project, "config", "--local", *(["--unset", "core.no_scm"] if versioned else ["core.no_scm", "true"]))
    return None if words else parallel.begin_look(project)


def repro(
    project: Project, settings: Settings, look: parallel.Look | None, words: Sequence[str], jobs: int | None = None
) -> int:
    """Bring everything up to date, after fetching anew whatever the user's folder has changed.

    With words, `dvc repro` of these; without, `jobs` stages at a time, or as many as the machine can feed.
    """
    stale = [f"fetch@{name}" for name in stale_sources(project, settings)]
    if stale:
        status = dvc(project, "--wait-for-lock", "repro", "--quiet", "--force", "--single-item", *stale)
        if status:
            return status
        look = look and parallel.begin_look(project)
    plan = look and look()
    if plan and not plan.waits:
        print("Data and pipelines are up to date.")
        return 0
    with fork_server.helper({**os.environ, **DVC_QUIET}) as variables:
        if plan:
            count = min(jobs or parallel.default_lanes(settings.runtime), len(plan.waits))
            if crowded := parallel.crowding(count, settings.runtime.threads * settings.runtime.processes):
                print(crowded, flush=True)
            found = {**DVC_QUIET, **variables}
            return parallel.run(project, plan, count, found, parallel.gpus_for(settings.runtime))
        return dvc(project, "repro", *words, **variables)

"""Let DVC record the inputs with which the command of a stage began."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING

from triptych.runner.dvc import is_tested

if TYPE_CHECKING:
    from dvc.stage import Stage


def record_inputs_at_start() -> None:
    """Let all stages that DVC runs in this process keep the hashes of their inputs, as they were at the start.

    DVC hashes the inputs again when the command has ended. If the user edits params.yaml or a module meanwhile,
    `dvc.lock` would say that the result belongs to the new settings or code. If the user has left params.yaml broken,
    DVC would record no result. With an untested version of DVC, nothing changes.
    """
    if not is_tested():
        return
    from dvc.stage import run

    run_command = run.cmd_run

    @wraps(run_command)
    def run_with_inputs(stage: Stage, dry: bool = False, run_env: Mapping[str, str] | None = None) -> None:
        if not dry:
            stage.save_deps()
            for dependency in stage.deps:
                dependency.save = lambda: None
                dependency.get_hash = partial(getattr, dependency, "hash_info")
        run_command(stage, dry=dry, run_env=run_env)

    run.cmd_run = run_with_inputs

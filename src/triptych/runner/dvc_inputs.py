"""Let DVC record the inputs with which a stage began."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial, wraps
from typing import TYPE_CHECKING

from triptych.runner.dvc import is_tested

if TYPE_CHECKING:
    from dvc.stage import Stage


def record_inputs_at_start() -> None:
    """Let all stages that DVC runs in this process keep the hashes of their inputs, as they were at the start.

    DVC hashes the inputs again when a stage has ended. If the user edits params.yaml or a module meanwhile, `dvc.lock`
    would say that the result belongs to the new settings or code. If the user has left params.yaml broken, DVC would
    record no result. With `--force`, inputs must exist at the start, too. With an untested version of DVC, nothing
    changes.
    """
    if not is_tested():
        return
    from dvc.stage import Stage, run

    run_command, save = run.cmd_run, Stage.save

    @wraps(run_command)
    def run_with_inputs(stage: Stage, dry: bool = False, run_env: Mapping[str, str] | None = None) -> None:
        if not dry:
            stage.save_deps()  # with `--force`, DVC has not hashed them yet
        run_command(stage, dry=dry, run_env=run_env)

    @wraps(save)
    def save_without_hashing_again(stage: Stage, **options: bool) -> None:
        for dependency in stage.deps if stage.cmd and not stage.frozen else ():
            dependency.save = lambda: None
            dependency.get_hash = partial(getattr, dependency, "hash_info")
        save(stage, **options)

    run.cmd_run, Stage.save = run_with_inputs, save_without_hashing_again

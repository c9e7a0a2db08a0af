"""Let DVC record the inputs with which a stage began."""

from __future__ import annotations

from functools import partial, wraps

from triptych.runner.dvc import is_tested


def record_inputs_at_start() -> None:
    """Let all stages that DVC runs in this process keep the hashes of their inputs, as they were at the start.

    DVC hashes the inputs again when a stage has ended. If the user edits params.yaml or a module meanwhile, `dvc.lock`
    would say that the result is one of the new settings or code. If the user has left params.yaml broken, DVC would
    record no result. With an untested version of DVC, nothing changes.
    """
    if not is_tested():
        return
    from dvc.stage import Stage

    run = Stage.run

    @wraps(run)
    def run_with_inputs(stage: Stage, *, dry: bool = False, allow_missing: bool = False, **rest: object) -> None:
        if not dry:
            stage.save_deps(allow_missing=allow_missing)
            for dependency in stage.deps:
                dependency.save = lambda: None
                dependency.get_hash = partial(getattr, dependency, "hash_info")
        run(stage, dry=dry, allow_missing=allow_missing, **rest)

    Stage.run = run_with_inputs

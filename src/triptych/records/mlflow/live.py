"""One run in MLflow while it happens."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triptych.core.json_files import is_number
from triptych.records.mlflow.store import Store, brief, warn
from triptych.records.mlflow.view import RunView, bring_up_to_date

if TYPE_CHECKING:
    from pathlib import Path

    from triptych.records.run_folder import Json, Record
    from triptych.training.history import History


@dataclass
class LiveRun:
    """One run as it happens. A failure is said once; the records stay whole, and `triptych sync` mends the rest."""

    store: Store
    name: str
    inputs: Json
    params: Json
    flush_seconds: float = 2.0
    run_id: str | None = None
    broken: bool = False
    waiting: History = field(default_factory=list)
    flushed: float = 0.0

    def _try(self, action: Callable[[], None]) -> None:
        """Do it, unless an earlier attempt failed. Whatever goes wrong in MLflow or its drivers costs one warning."""
        if self.broken:
            return
        try:
            action()
        except Exception as error:
            self.broken = True
            warn(f"MLflow does not answer ({brief(error)}); the run goes on, and `triptych sync` records it later")

    def start(self, tags: dict[str, str]) -> None:
        """Show the run as running."""

        def create() -> None:
            self.store.mark_dead_runs()
            self.run_id = self.store.create_run(self.name, self.inputs, self.params, tags)

        self._try(create)

    def log(self, row: dict[str, float]) -> None:
        """Keep a row; send what has gathered every other second."""
        self.waiting.append({key: value for key, value in row.items() if is_number(value)})
        if time.monotonic() - self.flushed >= self.flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Send what has gathered."""
        rows, self.waiting = self.waiting, []
        if rows:
            self._try(lambda: self.store.log_history(self.run_id, rows))
        self.flushed = time.monotonic()

    def finish(self, record: Record, model: Path | None, facts: Json) -> None:
        """Send the rest, the speed, the evaluation and the model where there are any; close the run."""
        self.flush()

        def close() -> None:
            view = RunView(self.store, self.run_id, record, facts)
            view.show_training(model)
            if record.metrics:
                view.show_evaluation()
            self.store.client.set_terminated(self.run_id)
            view.seal()

        self._try(close)

    def fail(self) -> None:
        """Close the run as failed."""
        self.flush()
        if self.run_id:
            self._try(lambda: self.store.client.set_terminated(self.run_id, "FAILED"))

    def add_evaluation(self, record: Record, before: str, training: Json, model: Path) -> None:
        """Add an evaluation to the run of its training if that is what MLflow shows, else rebuild the run.

        `before` is the digest of the record without the evaluation, `training` the journal's facts of the training.
        """

        def add() -> None:
            runs = self.store.runs(record.name, record.fingerprint, self.inputs["family"])
            if len(runs) == 1 and runs[0].data.tags.get("digest") == before:
                view = RunView(self.store, runs[0].info.run_id, record, training)
                view.show_evaluation()
                view.seal()
            else:
                bring_up_to_date(self.store, record, training, model)

        self._try(add)

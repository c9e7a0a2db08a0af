"""Show a training run in MLflow while it runs.

`run_writer.py` writes everything that is known only at the end. If MLflow fails, training continues: the results are in
the run folder, and `triptych sync` rebuilds the run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from triptych.core.messages import one_line, warn
from triptych.records.mlflow.run_writer import RunWriter
from triptych.records.mlflow.store import Store
from triptych.records.run_folder import Json, RunFolder, training_curves
from triptych.training.history import History

INCOMPLETE = "MLflow does not show all of this run ({}): run `triptych sync` later"


@dataclass
class LiveRun:
    """An MLflow run of a training that runs now. After the first failure of MLflow nothing more is sent."""

    store: Store
    name: str
    flush_seconds: float = 2.0
    run_id: str | None = None
    broken: bool = False
    waiting: History = field(default_factory=list)
    flushed: float = 0.0

    def start(self, inputs: Json, tags: dict[str, str]) -> None:
        """Create the run in MLflow, with status RUNNING."""
        self._try(lambda: self._create(inputs, tags))

    def log(self, row: Mapping[str, float]) -> None:
        """Keep a row, and send all kept rows if the last sending is long enough ago."""
        self.waiting.append(dict(row))
        if time.monotonic() - self.flushed >= self.flush_seconds:
            self.flush()

    def flush(self) -> None:
        """Send all kept rows."""
        rows, self.waiting = self.waiting, []
        if rows:
            self._try(lambda: self.store.log_rows(self.run_id, training_curves(rows)))
        self.flushed = time.monotonic()

    def finish(self, run: RunFolder, model: Path | None, facts: Json) -> None:
        """Send the remaining rows and results, and end the run. `facts` are those of the journal."""
        self.flush()
        self._try(lambda: RunWriter(self.store, self.run_id, run, facts).write_results(model))

    def discard(self) -> None:
        """Delete the run, because its results are already recorded."""
        if self.run_id:
            self._try(lambda: self.store.delete_run(self.store.client.get_run(self.run_id)))

    def fail(self) -> None:
        """End the run with status FAILED."""
        self.flush()
        if self.run_id:
            self._try(lambda: self.store.client.set_terminated(self.run_id, "FAILED"))

    def _create(self, inputs: Json, tags: dict[str, str]) -> None:
        self.store.mark_dead_runs()
        self.run_id = self.store.create_run(self.name, inputs, tags)

    def _try(self, action: Callable[[], None]) -> None:
        if self.broken:
            return
        try:
            action()
        except Exception as error:
            self.broken = True
            warn(INCOMPLETE.format(one_line(error)))


@contextmanager
def failure_as_warning(sentence: str) -> Iterator[None]:
    """Print `sentence`, with the error in place of its `{}`, for any error of MLflow, its drivers or the disk."""
    try:
        yield
    except Exception as error:
        warn(sentence.format(one_line(error)))

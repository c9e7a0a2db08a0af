"""Checkpoint and resume, for every training loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from triptych.core.tracker import Tracker
from triptych.training import distributed
from triptych.training.checkpoint import CheckpointFolder
from triptych.training.history import History


def copy_tensors(to: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Copy saved tensors into those of the same names."""
    for name, tensor in to.items():
        tensor.copy_(saved[name])


@dataclass
class ResumableRun:
    """The history of one run of a training loop, which continues from the last checkpoint and saves new ones.

    If several processes train one model, all of them restore, and rank 0 saves.
    """

    name: str
    checkpoints: CheckpointFolder
    tracker: Tracker
    unit: str
    """The unit of steps, `epoch` or `iteration`."""
    total: int
    """The number of steps."""
    interval: float
    """Seconds between two checkpoints."""
    save_last: bool = False
    """Whether a checkpoint is due after the last step."""
    history: History = field(default_factory=list)
    done: int = -1
    """The last step that is done; -1 if there is none."""
    earlier_seconds: float = 0.0
    """Seconds of training before this process."""
    began: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    def restore(self, restore: Callable[[dict[str, Tensor]], None]) -> None:
        """Load the last checkpoint, if there is one, and call `restore` with its tensors."""
        checkpoint = self.checkpoints.load()
        distributed.barrier()  # before rank 0 replaces the checkpoint
        if checkpoint:
            self.done, tensors, self.history, self.earlier_seconds = checkpoint
            restore(tensors)
            self.tracker.resume(list(self.history))
            self.tracker.say(f"{self.name}: resuming after {self.unit} {self.done} of {self.total}")

    def log(self, row: dict[str, float]) -> None:
        """Append a row, which holds its step, to the history, and pass it to the tracker."""
        self.done = int(row[self.unit])
        self.history.append(row)
        self.tracker.log(row)

    def save_if_due(self, state: Callable[[], dict[str, Tensor]]) -> None:
        """Save a checkpoint with the tensors that `state` returns, if one is due."""
        if distributed.rank() == 0 and self._is_due():
            self.checkpoints.save(self.done, state(), self.history, self.seconds())
            self.saved = time.monotonic()

    def _is_due(self) -> bool:
        if self.done == self.total:
            return self.save_last
        return time.monotonic() - self.saved >= self.interval

    def seconds(self) -> float:
        """Return the seconds of training so far, over all processes that continued this run."""
        return self.earlier_seconds + time.monotonic() - self.began

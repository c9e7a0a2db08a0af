"""The checkpoint format: all that an interrupted run needs to continue and to end with the same bytes.

Checkpoints are not DVC outputs. Each run has a folder named by a key that covers its settings, data and code and the
kind of machine, so that no other run reads it. Random number generators are not saved: every epoch, or chunk of
iterations, seeds its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from triptych.core.errors import TriptychError
from triptych.core.hashing import sha256_of_file
from triptych.core.interrupts import delayed_interrupt
from triptych.core.json_files import write_json
from triptych.core.json_schemas import Count, JsonSchema, read_document
from triptych.training.history import History
from triptych.training.running import INDEX
from triptych.training.weights import load_tensors, save_tensors

if TYPE_CHECKING:
    from torch import Tensor

STATE = "state.safetensors"


class CheckpointIndex(JsonSchema):
    """The index of the last checkpoint of an unfinished run."""

    step: Count
    history: list[dict[str, float]] = Field(min_length=1)
    seconds: float
    state: str = Field(pattern=r"^[0-9]+\.state\.safetensors$")
    sha256: str


def snapshot_name(epoch: int) -> str:
    """Return the file name of the snapshot that is taken after an epoch.

    >>> snapshot_name(20)
    'epoch-0020.safetensors'
    """
    return f"epoch-{epoch:04d}.safetensors"


@dataclass(frozen=True)
class CheckpointFolder:
    """The folder of one unfinished run: its last checkpoint, and the snapshots taken so far.

    | file | content |
    | --- | --- |
    | `<step>.state.safetensors` | weights, averages and optimiser state after that step |
    | `index.json` | step, history, seconds of training, name and SHA-256 of the state file |
    | `epoch-<n>.safetensors` | the weights to sample from, after that epoch |
    """

    folder: Path

    def snapshot(self, epoch: int) -> Path:
        """Return the path of the snapshot that is taken after an epoch."""
        return self.folder / snapshot_name(epoch)

    def save(self, step: int, tensors: dict[str, Tensor], history: History, seconds: float) -> None:
        """Replace the checkpoint by the state after `step` epochs or iterations, and `seconds` of training.

        The index is written last and holds the checksum of the state file. So an interrupted write is detected. Ctrl-C
        waits until the checkpoint is complete.
        """
        state = self.folder / f"{step:06d}.{STATE}"
        index = {"step": step, "history": history, "seconds": seconds}
        with delayed_interrupt():
            save_tensors(state, tensors)
            write_json(self.folder / INDEX, index | {"state": state.name, "sha256": sha256_of_file(state)})
            for older in {*self.folder.glob(f"*.{STATE}")} - {state}:
                older.unlink()

    def load(self) -> tuple[int, dict[str, Tensor], History, float] | None:
        """Return step, tensors, history and seconds of the checkpoint, or None if there is none.

        Raises TriptychError if the checkpoint is damaged.
        """
        index_path = self.folder / INDEX
        if not index_path.exists():
            return None
        index = read_document(index_path, CheckpointIndex)
        state = self.folder / index["state"]
        if not state.exists() or sha256_of_file(state) != index["sha256"]:
            raise TriptychError(f"the checkpoint {state} is damaged: delete {self.folder} to train from the start")
        return index["step"], load_tensors(state), index["history"], index["seconds"]

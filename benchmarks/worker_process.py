"""A training loop in its own process, so that the memory settings of one side do not affect the other."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch

from harness import seconds

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PROCESSES = multiprocessing.get_context("spawn")
TRIED = 5  # steps that are timed to estimate the duration of a step


class Loop(Protocol):
    """A loop that runs a number of steps at a time."""

    images_per_step: int

    def run(self, steps: int) -> object: ...


class WorkerProcess(AbstractContextManager):
    """A loop in another process, which runs on request and ends with the block."""

    def __init__(self, threads: int, make: Callable[..., Loop], *arguments: Any) -> None:  # noqa: ANN401 (of `make`)
        self.connection, child_end = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=_serve, args=(child_end, threads, make, arguments))
        self.process.start()
        child_end.close()
        self.images_per_step: int = self.connection.recv()

    def begin(self, steps: int) -> None:
        """Start to run steps."""
        self.connection.send(steps)

    def ended(self) -> float:
        """Wait for the steps and return their seconds. Raises EOFError if the process has failed."""
        return self.connection.recv()

    def seconds(self, steps: int) -> float:
        """Run steps and return their seconds."""
        self.begin(steps)
        return self.ended()

    def steps_in(self, wanted: float) -> int:
        """Return the number of steps that take about `wanted` seconds. The trial also warms the loop up."""
        self.seconds(1)
        return max(1, round(wanted * TRIED / self.seconds(TRIED)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.send(0)
        self.process.join()


def _serve(connection: Connection, threads: int, make: Callable[..., Loop], arguments: tuple) -> None:
    multiprocessing.set_start_method(None, force=True)  # data loader workers start as in a user's process
    torch.set_num_threads(threads)
    loop = make(*arguments)
    connection.send(loop.images_per_step)
    while steps := connection.recv():
        connection.send(seconds(lambda: loop.run(steps)))

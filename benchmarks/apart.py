"""A loop in a process of its own: what one side sets or leaves behind, such as how memory is kept, is its own."""

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
TRIED = 5  # steps from which their length is told


class Loop(Protocol):
    """Training, or whatever goes image by image, a number of steps at a time."""

    images_a_step: int

    def run(self, steps: int) -> object: ...


class Apart(AbstractContextManager):
    """A loop that runs elsewhere, and only when it is asked to. Ends with the block."""

    def __init__(self, threads: int, make: Callable[..., Loop], *words: Any) -> None:  # noqa: ANN401 (the maker's)
        self.connection, theirs = PROCESSES.Pipe()
        self.process = PROCESSES.Process(target=_serve, args=(theirs, threads, make, words))
        self.process.start()
        theirs.close()
        self.images_a_step: int = self.connection.recv()

    def begin(self, steps: int) -> None:
        """Have it run so many steps."""
        self.connection.send(steps)

    def ended(self) -> float:
        """What they took, once they are through. Raises EOFError if the process has failed, which then has told why."""
        return self.connection.recv()

    def seconds(self, steps: int) -> float:
        """What so many steps take."""
        self.begin(steps)
        return self.ended()

    def steps_in(self, wanted: float) -> int:
        """How many steps take about so many seconds, by trying some; what they prepare is done afterwards."""
        self.seconds(1)
        return max(1, round(wanted * TRIED / self.seconds(TRIED)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.send(0)
        self.process.join()


def _serve(connection: Connection, threads: int, make: Callable[..., Loop], words: tuple) -> None:
    multiprocessing.set_start_method(None, force=True)  # workers start as they would in a user's process
    torch.set_num_threads(threads)
    loop = make(*words)
    connection.send(loop.images_a_step)
    while steps := connection.recv():
        connection.send(seconds(lambda: loop.run(steps)))

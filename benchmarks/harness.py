"""Shared by all parts of the benchmark: tables of repeated measurements, progress lines, and timed commands."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from triptych.settings.params import Settings

ROOT = Path(__file__).parents[1]
LAUNCHER = Path(__file__).parent / "launcher.py"
LONGEST_SILENCE = 10.0  # seconds between two lines of progress


@dataclass(frozen=True)
class Context:
    """The settings of a run of the benchmark."""

    settings: Settings
    rounds: int
    folder: Path
    """A temporary folder."""


@dataclass
class Cell:
    """One cell of a table: a number with one value per round, or a text."""

    unit: str = ""
    values: list[float] = field(default_factory=list)
    text: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """Return the lower and the upper quartile over the rounds."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper


@dataclass
class Table:
    """A table by row and column; a part of the benchmark fills one or more tables."""

    name: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float, unit: str = "") -> None:
        """Add the value of a round."""
        cell = self.cells.setdefault(row, {}).setdefault(column, Cell(unit))
        cell.values.append(value)

    def compare(self, row: str, columns: tuple[str, str, str], one: float, other: float) -> None:
        """Add the seconds of two sides in a round, and the ratio of the second to the first."""
        for column, value, unit in zip(columns, (one, other, other / one), ("s", "s", ""), strict=True):
            self.add(row, column, value, unit)

    def set_text(self, row: str, column: str, text: str) -> None:
        """Set a text in place of a number."""
        self.cells.setdefault(row, {})[column] = Cell(text=text)

    def cell(self, row: str, column: str) -> Cell:
        return self.cells[row][column]


class Progress:
    """Lines on stderr that name the current measurement."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def say(self, text: str) -> None:
        """Print a line."""
        self.last = time.monotonic()
        minutes, seconds = divmod(int(self.last - self.began), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {text}", file=sys.stderr, flush=True)

    def say_after_silence(self, text: str) -> None:
        """Print a line unless the last one is recent."""
        if time.monotonic() - self.last >= LONGEST_SILENCE:
            self.say(text)

    def rounds(self, text: str, count: int) -> Iterator[int]:
        """Yield the numbers of the rounds, from 0, and print progress."""
        self.say(f"{text}, {count} rounds")
        for number in range(count):
            self.say_after_silence(f"{text}, round {number + 1} of {count}")
            yield number


PROGRESS = Progress()


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock seconds of a function call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Command:
    """The wall-clock seconds of a command, and its peak memory in MiB."""

    seconds: float
    mebibytes: float


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Command:
    """Run a command without output. Raises RuntimeError with the end of its output if it fails."""
    log, measurement = folder / ".benchmark.log", folder / ".benchmark.json"
    with log.open("wb") as output:
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(measurement), *words]
        process = subprocess.Popen(launcher, cwd=folder, env=dict(environment), stdout=output, stderr=output)
        while process.poll() is None:
            try:
                process.wait(LONGEST_SILENCE)
            except subprocess.TimeoutExpired:
                PROGRESS.say_after_silence(f"running {' '.join(words[2:5])}")
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
    elapsed, resident = json.loads(measurement.read_text(encoding="utf-8"))
    return Command(elapsed, resident / (1 << 20 if sys.platform == "darwin" else 1 << 10))

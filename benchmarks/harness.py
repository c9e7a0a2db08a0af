"""What every part of the benchmark is made of: measurements that gather round by round, and commands that are timed."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).parent / "launcher.py"
SILENCE = 10.0  # seconds of it at most, between two words on how far the benchmark is


@dataclass
class Cell:
    """One number of a table: its values, one a round; or a word."""

    unit: str = ""
    values: list[float] = field(default_factory=list)
    word: str = ""

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The middle half of the rounds lies between them."""
        if len(self.values) == 1:
            return self.values[0], self.values[0]
        lower, _, upper = statistics.quantiles(self.values, n=4, method="inclusive")
        return lower, upper


@dataclass
class Table:
    """Rows by columns; a part of the benchmark fills one or several."""

    name: str
    cells: dict[str, dict[str, Cell]] = field(default_factory=dict)

    def add(self, row: str, column: str, value: float, unit: str = "") -> None:
        """One more round's value."""
        cell = self.cells.setdefault(row, {}).setdefault(column, Cell(unit))
        cell.values.append(value)

    def compare(self, row: str, columns: tuple[str, str, str], one: float, other: float) -> None:
        """One more round's seconds of two, and how many times the first the other takes."""
        for column, value, unit in zip(columns, (one, other, other / one), ("s", "s", ""), strict=True):
            self.add(row, column, value, unit)

    def say(self, row: str, column: str, word: str) -> None:
        """A word instead of a number."""
        self.cells.setdefault(row, {})[column] = Cell(word=word)

    def cell(self, row: str, column: str) -> Cell:
        return self.cells[row][column]


class Progress:
    """Says on stderr what is measured: at each new activity, and now and then within one."""

    def __init__(self) -> None:
        self.began = self.last = time.monotonic()

    def say(self, words: str) -> None:
        """A line at once."""
        self.last = time.monotonic()
        minutes, seconds = divmod(int(self.last - self.began), 60)
        print(f"[{minutes:2d}:{seconds:02d}] {words}", file=sys.stderr, flush=True)

    def alive(self, words: str) -> None:
        """A line if there was none for a while."""
        if time.monotonic() - self.last >= SILENCE:
            self.say(words)

    def rounds(self, words: str, count: int) -> Iterator[int]:
        """The numbers of the rounds, from 0."""
        self.say(f"{words}, {count} rounds")
        for number in range(count):
            self.alive(f"{words}, round {number + 1} of {count}")
            yield number


PROGRESS = Progress()


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, on the wall."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


@dataclass(frozen=True)
class Command:
    """What came of a command: seconds on the wall, and the largest memory that it held at once, in MiB."""

    seconds: float
    mebibytes: float


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Command:
    """Run a command to its end, quietly. Raises RuntimeError, with its last words, if it fails."""
    log, found = folder / ".benchmark.log", folder / ".benchmark.json"
    with log.open("wb") as output:
        launcher = [sys.executable, "-I", "-S", str(LAUNCHER), str(found), *words]
        process = subprocess.Popen(launcher, cwd=folder, env=dict(environment), stdout=output, stderr=output)
        while process.poll() is None:
            try:
                process.wait(SILENCE)
            except subprocess.TimeoutExpired:
                PROGRESS.alive(f"running {' '.join(words[2:5])}")
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)} failed:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
    taken, resident = json.loads(found.read_text(encoding="utf-8"))
    return Command(taken, resident / (1 << 20 if sys.platform == "darwin" else 1 << 10))

"""Progress on the terminal: alive in a terminal, a line now and then in a log, or where several stages share one."""

from __future__ import annotations

import math
import os
import sys
import time

LANES = "TRIPTYCH_LANES"  # how many stages run at a time, if it is `triptych repro` that runs them
IN_TERMINAL, IN_LOG = 0.25, 15.0  # seconds between two reports


class Progress:
    """Reports where a stage is, its speed and the time left. In a log the first report comes after a moment."""

    def __init__(self, name: str, total: int, done: int, unit: str = "images", *, silent: bool = False) -> None:
        """Of `total` in all, `done` were seen before this process. If silent, it is another process that reports."""
        self.name, self.total, self.first, self.unit = name, total, done, unit
        self.began = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty() and os.environ.get(LANES, "1") == "1"
        self.wait = math.inf if silent else IN_TERMINAL if self.terminal else IN_LOG

    def due(self) -> bool:
        """Whether it is time to report: cheap, to be asked at every step."""
        return time.monotonic() - self.last >= self.wait

    def report(self, seen: int, words: str) -> None:
        """Say where the run is: `seen` of all, and what it is at."""
        self.last = time.monotonic()
        speed = (seen - self.first) / max(self.last - self.began, 1e-9)
        left = (self.total - seen) / speed if speed else 0.0
        text = f"{self.name}  {words}  {_speed(speed)} {self.unit}/s  {_clock(left)} left"
        print(
            f"\r\033[K{text}" if self.terminal else text, end="" if self.terminal else "\n", file=sys.stderr, flush=True
        )

    def seconds(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began

    def finish(self) -> float:
        """Clear the line; return the seconds since the start."""
        if self.terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        return self.seconds()


def _speed(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

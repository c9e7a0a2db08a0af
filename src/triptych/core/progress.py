"""Progress reports: one line that updates in a terminal; lines from time to time in a log or beside other stages."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread

WORKERS_VARIABLE = "TRIPTYCH_WORKERS"  # set by `triptych repro`: how many stages run at a time
TERMINAL_SECONDS, LOG_SECONDS = 0.25, 15.0  # between two reports
HEARTBEAT_SECONDS = 4.0


class Progress:
    """Report how far a stage is, its speed and the time left. In a log the first report comes after `LOG_SECONDS`."""

    def __init__(self, name: str, total: int, done: int, unit: str = "images", *, silent: bool = False) -> None:
        """Report on `total` units, of which `done` were processed before this process started."""
        self.name, self.total, self.first, self.unit = name, total, done, unit
        self.began = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty() and os.environ.get(WORKERS_VARIABLE, "1") == "1"
        self.interval = math.inf if silent else TERMINAL_SECONDS if self.terminal else LOG_SECONDS

    def due(self) -> bool:
        """Return whether it is time for a report. The call is cheap enough for every step."""
        return time.monotonic() - self.last >= self.interval

    def report(self, seen: int, details: str) -> None:
        """Print a report after `seen` units."""
        self.last = time.monotonic()
        speed = (seen - self.first) / max(self.last - self.began, 1e-9)
        left = (self.total - seen) / speed if speed else 0.0
        text = f"{self.name}  {details}  {_speed(speed)} {self.unit}/s  {_clock(left)} left"
        _show(text, terminal=self.terminal)

    def seconds(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.began

    def finish(self) -> float:
        """Clear the line in the terminal; return the seconds since the start."""
        if self.terminal:
            _show("", terminal=True)
        return self.seconds()


@contextmanager
def heartbeat(text: str) -> Iterator[None]:
    """Report every four seconds that a block is still running, for a command in the foreground."""
    end = Event()
    thread = Thread(target=_beat, args=(text, end), daemon=True)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()


def _beat(text: str, end: Event) -> None:
    began, terminal = time.monotonic(), sys.stderr.isatty()
    while not end.wait(HEARTBEAT_SECONDS):
        _show(f"{text}  {_clock(time.monotonic() - began)}", terminal=terminal)
    if terminal:
        _show("", terminal=True)


def _show(text: str, *, terminal: bool) -> None:
    """Print a line of a log, or replace the line in the terminal."""
    start, end = ("\r\033[K", "") if terminal else ("", "\n")
    print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def _speed(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

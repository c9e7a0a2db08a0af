"""Progress reports: one line that updates in a terminal; lines from time to time in a log or beside other stages.

Under `triptych repro`, a stage writes its reports as events into its output, from which the display reads them.
"""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread

WORKERS_VARIABLE = "TRIPTYCH_WORKERS"  # set by `triptych repro`: how many stages run at a time
DISPLAY_VARIABLE = "TRIPTYCH_DISPLAY"  # set by `triptych repro` if its display reads the output of the stages
EVENT = "\x1e"  # ASCII's record separator: begins an event, JSON, in the output of a stage
TERMINAL_SECONDS, DISPLAY_SECONDS, LOG_SECONDS = 0.25, 1.0, 15.0  # between two reports
HEARTBEAT_SECONDS = 4.0


def tell(**event: str | float) -> None:
    """Tell the display of `triptych repro` what this stage does. Without a display nothing happens."""
    if DISPLAY_VARIABLE in os.environ:
        print(f"{EVENT}{json.dumps(event)}", file=sys.stderr, flush=True)


class Progress:
    """Report how far a stage is, its speed and the time left. In a log the first report comes after `LOG_SECONDS`."""

    def __init__(self, name: str, total: int, done: int, unit: str = "images", *, silent: bool = False) -> None:
        """Report on `total` units, of which `done` were processed before this process started.

        A total of 0 is unknown.
        """
        self.name, self.total, self.first, self.unit = name, total, done, unit
        self.began = self.last = time.monotonic()
        self.terminal = sys.stderr.isatty() and os.environ.get(WORKERS_VARIABLE, "1") == "1"
        self.displayed = DISPLAY_VARIABLE in os.environ and not silent
        usual = DISPLAY_SECONDS if self.displayed else TERMINAL_SECONDS if self.terminal else LOG_SECONDS
        self.interval = math.inf if silent else usual
        if done and self.displayed:
            tell(notice=f"continues after {done:,} of {total:,} {unit}")

    def due(self) -> bool:
        """Return whether it is time for a report. The call is cheap enough for every step."""
        return time.monotonic() - self.last >= self.interval

    def report(self, seen: int, place: str, number: str = "") -> None:
        """Report, after `seen` units, the place, such as the epoch, and a number, such as the loss."""
        self.last = time.monotonic()
        speed = (seen - self.first) / max(self.last - self.began, 1e-9)
        left, pace = max(self.total - seen, 0) / speed if speed else 0.0, f"{_speed(speed)} {self.unit}/s"
        if self.displayed:
            tell(doing=place, number=number, speed=pace, left=left)
        else:
            words = [self.name, place, number, pace, f"{clock(left)} left" if self.total else ""]
            _show("  ".join(filter(None, words)), terminal=self.terminal)

    def finish(self) -> None:
        """Clear the line in the terminal."""
        if self.displayed:
            tell(doing="", number="", speed="", left=0.0)
        elif self.terminal:
            _show("", terminal=True)


@contextmanager
def heartbeat(text: str) -> Iterator[Callable[[str], None]]:
    """Report every four seconds that a block is still running, for a command in the foreground.

    The block can call the yielded function with what it has done, such as "3 of 26".
    """
    end, words = Event(), [text]
    thread = Thread(target=_beat, args=(words, end), daemon=True)
    thread.start()

    def show(done: str) -> None:
        words[1:] = [done]

    try:
        yield show
    finally:
        end.set()
        thread.join()


def _beat(words: list[str], end: Event) -> None:
    began, terminal = time.monotonic(), sys.stderr.isatty()
    while not end.wait(HEARTBEAT_SECONDS):
        _show("  ".join([*words, clock(time.monotonic() - began)]), terminal=terminal)
    if terminal:
        _show("", terminal=True)


def _show(text: str, *, terminal: bool) -> None:
    """Print a line of a log, or replace the line in the terminal."""
    start, end = ("\r\033[K", "") if terminal else ("", "\n")
    print(f"{start}{text}", end=end, file=sys.stderr, flush=True)


def _speed(speed: float) -> str:
    return f"{speed:,.0f}" if speed >= 10 else f"{speed:.2g}"


def clock(seconds: float) -> str:
    """Return a duration as minutes and seconds, with hours if there are any.

    >>> clock(7), clock(3725)
    ('0:07', '1:02:05')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

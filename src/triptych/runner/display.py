"""What `triptych repro` shows: in a terminal one live display, in a pipe or under CI single lines.

A pipe gets one line per finished stage and, while none finishes, one line from time to time about the running ones.

In a terminal, the lines of finished stages scroll by above a line with the stages done and the time left, and one line
per running stage. With `--verbose`, the output of DVC and of the stages is shown instead.

The display starts no thread, because `triptych repro` forks: its callers call `refresh` while they wait.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from triptych.core.progress import DISPLAY_VARIABLE, LOG_SECONDS, clock
from triptych.runner.stage_output import RESTORED, STARTED, RunningStage, StageOutput
from triptych.runner.time_left import time_left

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

REFRESH_SECONDS = 0.25  # between two calls of `refresh`
WIDEST, GAP = 120, 2  # columns of the live display, and between its cells
PLACE, NUMBER, SPEED = 2, 3, 4  # cells of a row: the epoch or the phase, a number such as the loss, the speed
LONGEST_PLACE, SHORTEST_NAME = 16, 16  # characters that have more room than the number
WARNING = "warning: "
KILLED = ("exited with -9", "exited with 137")  # ends of DVC's sentence about a killed stage
MEMORY = (
    "The system killed the stage, probably because memory ran out: lower --jobs, batch_size or the widths of the "
    "networks."
)


class Display:
    """The stages of one `triptych repro`: those that run, those that have ended, and what is shown of them."""

    def __init__(self, root: Path, *, verbose: bool) -> None:
        self.root, self.verbose = root, verbose
        self.expected: Mapping[str, float] = {}
        """Seconds of every stage of the run; empty if only DVC knows the stages."""
        self.workers = 1
        self.finished: dict[str, float] = {}
        self.stopped: list[str] = []
        self._outputs: dict[str, StageOutput] = {}
        self._phase, self._phase_began = "", 0.0
        self._printed = time.monotonic()

    def __enter__(self) -> Self:
        from rich.console import Console
        from rich.live import Live

        self._folder = TemporaryDirectory(prefix="triptych-", ignore_cleanup_errors=True)
        terminal = sys.stdout.isatty() and "CI" not in os.environ and not self.verbose
        self.console = Console(force_terminal=terminal, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self.console, auto_refresh=False, redirect_stdout=False, redirect_stderr=False, transient=True
        )
        self.is_live = self.console.is_interactive
        if self.is_live:
            self._live.start()
            self.console.show_cursor(True)  # a killed process could not show it again
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.stop()
        if kind is KeyboardInterrupt and not self.verbose:
            names = [*self.stopped, *(output.stage.name for output in self._outputs.values() if output.stage)]
            self._print(f"stopped: {', '.join(names) or 'no stage was running'}; {self._count()}")
        for output in self._outputs.values():
            output.close()
        self._folder.cleanup()

    @property
    def variables(self) -> dict[str, str]:
        """The environment variables with which stages report to this display."""
        return {} if self.verbose else {DISPLAY_VARIABLE: "1"}

    def phase(self, text: str) -> None:
        """Say what happens while no stage runs."""
        self._phase, self._phase_began = text, time.monotonic()
        self.refresh()

    def begin(self, expected: Mapping[str, float], workers: int) -> None:
        """Take over the stages of the run with their expected seconds, and how many run at a time."""
        self.expected, self.workers, self.finished = expected, workers, {}
        self.phase("starting the first stages")

    def started(self, stage: str) -> str | None:
        """Show a stage that starts; return the file for its output, or None if the output is not redirected."""
        return self.follow(stage, RunningStage(stage))

    def follow(self, name: str, stage: RunningStage | None = None) -> str | None:
        """Show the stages of a process from its output. Return the file for it, or None if it is not redirected.

        A process of DVC that runs several stages names each of them.
        """
        if self.verbose:
            return None
        path = Path(self._folder.name) / f"{name}.log"
        self._outputs[name] = StageOutput(path, stage)
        return str(path)

    def ended(self, name: str, *, failed: bool, interrupted: bool = False) -> None:
        """Show that a stage or a followed process has ended; if it failed, print its whole output."""
        if self.verbose:
            return
        self.refresh()
        output = self._outputs.pop(name)
        output.close()
        stage = output.stage
        if failed and interrupted and stage:
            self.stopped.append(f"{stage.name} ({stage.doing or stage.phase})")
        elif failed:
            failure = f"{stage.name} failed after {stage.seconds:.1f} s" if stage else "DVC failed"
            self._print(f"{failure}. Its output:", style="bold red")
            lines = stage.lines if stage else output.lines
            for line in lines:
                self._print(line)
            if any(line.endswith(KILLED) for line in lines):
                self.notice(MEMORY)
        elif stage:
            self._finish(stage)
            self.phase("finishing" if len(self.finished) == len(self.expected) else "no stage is running")
        else:
            for line in output.lines[-1:]:  # that there was nothing to do
                self._print(line)
        self.refresh()

    def say(self, text: str) -> None:
        """Print a line that stays."""
        self._print(text)

    def notice(self, text: str) -> None:
        """Print a line that stays, and that the user should notice."""
        self._print(text, style="yellow")

    def error(self, text: str) -> None:
        """Print an error after the end of all stages."""
        self.stop()
        print(text, file=sys.stderr, flush=True)

    def stop(self) -> None:
        """Remove the live display from the terminal; what was printed stays."""
        self._live.stop()
        self.is_live = False

    def refresh(self) -> None:
        """Read the output of the running stages, and draw the display again."""
        for output in self._outputs.values():
            for found in output.read():
                self._take(output, found)
        if self.is_live:
            self._live.update(self._render(), refresh=True)
        elif not self.verbose and time.monotonic() - self._printed >= LOG_SECONDS:
            self._print(self._in_one_line())

    def _take(self, output: StageOutput, found: str | dict[str, Any]) -> None:
        if isinstance(found, dict):
            if output.stage:
                output.stage.update(found)
                if notice := found.get("notice"):
                    self.notice(f"{output.stage.name} {notice}")
            return
        if begun := STARTED.fullmatch(found):
            self._stage_began(output, begun[1], "starting: Python imports its modules")
        elif restored := RESTORED.fullmatch(found):
            self._stage_began(output, restored[1], "fetching its results from DVC's cache")
            output.stage.said = "from DVC's cache"
        elif found.startswith(WARNING):
            self.notice(f"{output.stage.name}: {found}" if output.stage else found)
        (output.stage.lines if output.stage else output.lines).append(found)

    def _stage_began(self, output: StageOutput, name: str, phase: str) -> None:
        """Note that DVC runs a stage. If another one was running, it has finished."""
        if output.stage and output.stage.name != name:
            self._finish(output.stage)
            output.stage = None
        output.stage = output.stage or RunningStage(name)
        output.stage.phase = phase

    def _finish(self, stage: RunningStage) -> None:
        self.finished[stage.name] = stage.seconds
        width = max(map(len, self.expected or self.finished))
        result = (stage.headline or stage.said).replace(f"{self.root}{os.sep}", "")
        count = len(self.expected) or ""
        done = f"{len(self.finished):>{len(str(count))}}/{count}" if count else f"{len(self.finished)}"
        self._print(f"{done}  {stage.name:<{width}}  {stage.seconds:6.1f} s  {result}".rstrip(), crop=True)

    def _print(self, text: str, style: str | None = None, *, crop: bool = False) -> None:
        """Print a line above the live display; a line to `crop` is cut at the width of the terminal."""
        self._printed = time.monotonic()
        if not self.is_live:
            print(text, flush=True)
            return
        self._live.update(self._render(), refresh=True)  # else the last state would be drawn below the line
        if crop:
            self.console.print(text, style=style, no_wrap=True, overflow="ellipsis")
        else:
            self.console.print(text, style=style, soft_wrap=True)

    def _count(self) -> str:
        done = len(self.finished)
        return f"{done} of {len(self.expected)} stages done" if self.expected else f"stages done: {done}"

    def _time_left(self, running: Sequence[RunningStage]) -> str:
        times = {stage.name: (stage.seconds, stage.seconds_left) for stage in running}
        return f"about {clock(time_left(self.expected, self.finished, times, self.workers))} left"

    def _in_one_line(self) -> str:
        running = self._running
        if not running:
            return f"{self._phase}  {clock(time.monotonic() - self._phase_began)}"
        left = [self._time_left(running)] if self.expected else []
        return "  ".join([self._count(), *left, *(f"{stage.name}: {stage.doing or stage.phase}" for stage in running)])

    @property
    def _running(self) -> list[RunningStage]:
        return [output.stage for output in self._outputs.values() if output.stage]

    def _render(self) -> Group:
        from rich.console import Group
        from rich.text import Text

        running = self._running
        if running:
            return Group(self._progress(running), self._table(running))
        return Group(Text(f"{self._phase}  {clock(time.monotonic() - self._phase_began)}", style="cyan"))

    def _progress(self, running: list[RunningStage]) -> Table:
        """Return the line with the stages done and the time left."""
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        line = Table.grid(padding=(0, 2, 0, 0))
        cells: list[Any] = [self._count()]
        if self.expected:
            bar = ProgressBar(total=len(self.expected), completed=len(self.finished), width=30)
            cells += [bar, self._time_left(running)]
        line.add_row(*cells)
        return line

    def _table(self, running: list[RunningStage]) -> Table:
        """Return one row per running stage: name, seconds, epoch, number, speed, time left.

        In a narrow terminal, the speeds are left out, then names shortened, then the numbers left out.
        """
        from rich.table import Table

        width = min(self.console.width, WIDEST) - 4  # room for the terminal's ^C
        rows = [_cells(stage) for stage in running]
        longest = max(len(stage.name) for stage in running)
        for cell, least in ((SPEED, longest), (NUMBER, min(longest, SHORTEST_NAME))):
            if longest - _excess(rows, width) < least:
                rows = [[*row[:cell], *row[cell + 1 :]] for row in rows]
        room = longest - _excess(rows, width)
        table = Table.grid(padding=(0, GAP, 0, 0), expand=True)
        table.width = width
        table.add_column(no_wrap=True, style="bold")
        table.add_column(no_wrap=True, justify="right")
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        for _ in rows[0][PLACE + 1 :]:
            table.add_column(no_wrap=True, justify="right")
        for name, *others in rows:
            table.add_row(_shortened(name, max(room, 3)), *others)
        return table


def _cells(stage: RunningStage) -> list[str]:
    number = stage.headline or stage.number if stage.number else ""
    left = f"{clock(stage.seconds_left)} left" if stage.left else ""
    return [stage.name, clock(stage.seconds), stage.doing or stage.phase, number, stage.speed, left]


def _excess(rows: list[list[str]], width: int) -> int:
    """Return how many columns of the terminal the rows lack, if a long place is cut."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[PLACE] = min(widths[PLACE], LONGEST_PLACE)
    return sum(widths) + GAP * (len(widths) - 1) - width


def _shortened(name: str, length: int) -> str:
    """Return a name of at most this length: its start and its end, since some names differ only at the end."""
    if len(name) <= length:
        return name
    end = length // 2
    return f"{name[: length - end - 1]}…{name[-end:]}"

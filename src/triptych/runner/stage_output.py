"""The output of running stages, which `triptych repro` redirects to files: events for its display, and lines."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from triptych.core.progress import EVENT

STARTED = re.compile(r"Running stage '(.+)':")  # DVC's line before it runs a stage
RESTORED = re.compile(r"Stage '(.+)' is cached - skipping run, checking out outputs")  # from DVC's run cache


@dataclass
class RunningStage:
    """A stage, and what it last reported. Texts are empty if there is nothing to show."""

    name: str
    phase: str = "DVC checks its inputs"
    doing: str = ""
    """The present step of the phase, such as an epoch."""
    number: str = ""
    """A number of the present step, such as the loss."""
    headline: str = ""
    said: str = ""
    """The last line that it printed about its results."""
    speed: str = ""
    left: float = 0.0
    """Seconds from the last report to the end of the present step; 0 if it is unknown."""
    reported: float = field(default_factory=time.monotonic)
    began: float = field(default_factory=time.monotonic)
    lines: list[str] = field(default_factory=list)

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return time.monotonic() - self.began

    @property
    def seconds_left(self) -> float:
        """Seconds until its present step ends, from its last report; 0 if they are unknown."""
        return max(self.left - (time.monotonic() - self.reported), 1.0) if self.left else 0.0

    def update(self, event: dict[str, Any]) -> None:
        """Take over what the stage has reported."""
        self.reported = time.monotonic()
        for key in ("phase", "doing", "number", "speed", "left"):
            setattr(self, key, event.get(key, getattr(self, key)))
        self.headline = event.get("headline") or self.headline
        if said := event.get("said"):
            self.said = self.doing = said.removeprefix(f"{self.name.rpartition('@')[2]}: ")


class StageOutput:
    """The file that one process of DVC and its stages write to, read while it grows."""

    def __init__(self, path: Path, stage: RunningStage | None = None) -> None:
        """Begin an empty file. A process that runs one stage has it from the start."""
        self.stage = stage
        self.lines: list[str] = []
        """The lines that DVC writes outside of stages."""
        path.write_bytes(b"")
        self._file = path.open(encoding="utf-8", errors="replace", newline="\n")
        self._rest = ""

    def read(self) -> Iterator[str | dict[str, Any]]:
        """Yield each line and each event that was written since the last call."""
        *lines, self._rest = (self._rest + self._file.read()).split("\n")
        for line in lines:
            text, _, event = line.partition(EVENT)
            if text or not event:
                yield text
            with suppress(TypeError, ValueError):  # no event, or text that two processes wrote at once
                yield dict(json.loads(event))

    def close(self) -> None:
        """Close the file, and take its last line, if it has no end, to the others."""
        if self._rest:
            (self.stage.lines if self.stage else self.lines).append(self._rest)
        self._file.close()

"""The table of all faults: trials and failures."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass
class Row:
    """The trials of one kind of fault."""

    fault: str
    tried: int = 0
    failed: list[str] = field(default_factory=list)
    """The problem of each failed trial."""

    def add(self, problem: str | None) -> None:
        """Count one more trial; without a problem it succeeded."""
        self.tried += 1
        if problem:
            self.failed.append(problem)
            say(f"FAILED: {self.fault}: {problem}")


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[Row]) -> str:
    """Return the table of all rows, followed by the problems."""
    width = max(len(row.fault) for row in rows)
    lines = [f"{'fault':<{width}} {'tried':>8} {'passed':>9} {'failed':>6}"]
    total = Row("all", sum(row.tried for row in rows), [problem for row in rows for problem in row.failed])
    for row in [*rows, total]:
        lines.append(f"{row.fault:<{width}} {row.tried:>8} {row.tried - len(row.failed):>9} {len(row.failed):>6}")
    return "\n".join([*lines, *(f"failed: {row.fault}: {problem}" for row in rows for problem in row.failed)])

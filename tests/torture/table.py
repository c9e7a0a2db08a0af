"""What was tried and what came of it."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field


@dataclass
class Row:
    """One kind of fault."""

    fault: str
    tried: int = 0
    lost: list[str] = field(default_factory=list)
    """What went wrong, one entry for each that did not survive."""

    def add(self, problem: str | None) -> None:
        """One more, that was survived if there is no problem."""
        self.tried += 1
        if problem:
            self.lost.append(problem)
            say(f"LOST: {self.fault}: {problem}")


def say(text: str) -> None:
    """A line of progress."""
    print(text, file=sys.stderr, flush=True)


def table(rows: list[Row]) -> str:
    """All rows, and below them what was lost."""
    width = max(len(row.fault) for row in rows)
    lines = [f"{'fault':<{width}} {'tried':>8} {'survived':>9} {'lost':>6}"]
    total = Row("all", sum(row.tried for row in rows), [problem for row in rows for problem in row.lost])
    for row in [*rows, total]:
        lines.append(f"{row.fault:<{width}} {row.tried:>8} {row.tried - len(row.lost):>9} {len(row.lost):>6}")
    return "\n".join([*lines, *(f"lost: {row.fault}: {problem}" for row in rows for problem in row.lost)])

"""What a comparison came to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """From the best to the worst; the words are those of the table."""

    EQUAL = "equal"
    AGREES = "agrees"
    NOT_COMPARED = "not compared"
    DRIFTED = "drifted"
    CHANGED = "changed"
    MISSING = "missing"

    @property
    def bad(self) -> bool:
        """Whether somebody should look."""
        return self in (Verdict.DRIFTED, Verdict.CHANGED, Verdict.MISSING)


@dataclass(frozen=True)
class Finding:
    """One row of the table."""

    what: str
    against: str
    verdict: Verdict
    detail: str = ""

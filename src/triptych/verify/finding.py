"""The outcome of one comparison."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """The possible outcomes, from best to worst. The values are the column headings of the table."""

    EQUAL = "equal"
    AGREES = "agrees"
    NOT_COMPARED = "not compared"
    DRIFTED = "drifted"
    CHANGED = "changed"
    MISSING = "missing"

    @property
    def is_problem(self) -> bool:
        return self in (Verdict.DRIFTED, Verdict.CHANGED, Verdict.MISSING)


@dataclass(frozen=True)
class Finding:
    """An item, the file or system that it was compared with, and the outcome."""

    item: str
    compared_with: str
    verdict: Verdict
    detail: str = ""


def finding_of(item: str, compared_with: str, differing: list[str]) -> Finding:
    """Return the finding EQUAL, or CHANGED if there are names in `differing`; the detail has at most three of them."""
    if not differing:
        return Finding(item, compared_with, Verdict.EQUAL)
    names = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if differing[3:] else "")
    return Finding(item, compared_with, Verdict.CHANGED, f"different values: {names}")

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


PROBLEMS = (Verdict.DRIFTED, Verdict.CHANGED, Verdict.MISSING)


@dataclass(frozen=True)
class Finding:
    """An item, the file or system that it was compared with, and the outcome."""

    item: str
    compared_with: str
    verdict: Verdict
    detail: str = ""


def finding_of(item: str, compared_with: str, differing: list[str]) -> Finding:
    """Return the finding EQUAL, or CHANGED if there are names in `differing`; the detail has at most three of them."""
    first, more = sorted(differing)[:3], len(differing) - 3
    if not first:
        return Finding(item, compared_with, Verdict.EQUAL)
    names = ", ".join(first) + (f" and {more} more" if more > 0 else "")
    return Finding(item, compared_with, Verdict.CHANGED, f"different values: {names}")

"""The outcome of one comparison."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum


class Verdict(Enum):
    """The possible outcomes, from best to worst. The values are the column headings of the table.

    - EQUAL: all numbers are equal, and the weights byte by byte.
    - ROUNDING: numbers differ by the rounding of another machine at most.
    - AGREES: numbers differ within the tolerances of `tolerances.py`.
    - NOT_COMPARED: there is no baseline, or settings, data or protocol differ.
    - DRIFTED: a number differs by more than its tolerance.
    - DAMAGED: an output or a record has changed since its stage wrote it, or cannot be read.
    - MISSING: an output or a record does not exist, or is out of date.
    """

    EQUAL = "equal"
    ROUNDING = "rounding"
    AGREES = "agrees"
    NOT_COMPARED = "not compared"
    DRIFTED = "drifted"
    DAMAGED = "damaged"
    MISSING = "missing"

    @property
    def rank(self) -> int:
        """The position in this order."""
        return list(Verdict).index(self)


PROBLEMS = (Verdict.DRIFTED, Verdict.DAMAGED, Verdict.MISSING)


@dataclass(frozen=True)
class Finding:
    """An item, the file or system that it was compared with, and the outcome."""

    item: str
    compared_with: str
    verdict: Verdict
    detail: str = ""


def finding_of(item: str, compared_with: str, differing: list[str], command: str) -> Finding:
    """Return the finding EQUAL, or MISSING if the view is out of date and needs the command.

    `differing` are the names of different values; the detail has at most three of them.
    """
    if not differing:
        return Finding(item, compared_with, Verdict.EQUAL)
    detail = f"out of date ({first_names(differing)}): run `{command}`"
    return Finding(item, compared_with, Verdict.MISSING, detail)


def first_names(names: Iterable[str]) -> str:
    """Return the first three names in alphabetical order, and the number of the others.

    >>> first_names(["d", "a", "c", "b"])
    'a, b, c and 1 more'
    """
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")

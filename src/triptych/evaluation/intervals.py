"""95 % intervals of numbers from one model, and the words for a comparison of models."""

from collections.abc import Mapping
from typing import Any

Interval = tuple[float, float]

ERROR = "_standard_error"
NORMAL = 1.959963984540054  # standard errors on each side of a mean: the 97.5 % quantile of the normal distribution


def interval_of(numbers: Mapping[str, Any], key: str) -> Interval | None:
    """Return the interval of a number, from `<key>_low` and `<key>_high` or else from `<key>_standard_error`.

    Return None if the numbers have neither.

    >>> interval_of({"fid": 9.0, "fid_low": 8.0, "fid_high": 9.5}, "fid")
    (8.0, 9.5)
    """
    if f"{key}_low" in numbers:
        return numbers[f"{key}_low"], numbers[f"{key}_high"]
    if f"{key}{ERROR}" in numbers:
        reach = NORMAL * numbers[f"{key}{ERROR}"]
        return numbers[key] - reach, numbers[key] + reach
    return None


def plus_minus(error: float | None) -> str:
    """Return a standard error or deviation with two digits, after " ± "; an empty string without one.

    >>> plus_minus(8.0), plus_minus(0.0055), plus_minus(99.7), plus_minus(None)
    (' ± 8.0', ' ± 0.0055', ' ± 100', '')
    """
    if error is None:
        return ""
    return f" ± {error:,.0f}" if error >= 99.5 else f" ± {error:#.2g}".rstrip(".")


def overlap(one: Interval | None, other: Interval | None) -> bool:
    """Return whether two intervals overlap, or one is not known, so that they do not show which number is larger."""
    return one is None or other is None or (one[0] <= other[1] and other[0] <= one[1])


def in_words(interval: Interval | None, number: str) -> str:
    """Return the interval in words, with the format of its ends; an empty string without one.

    >>> in_words((1.0, 2.5), "{:.2f}")
    ' (95 % interval 1.00 to 2.50)'
    """
    return f" (95 % interval {number.format(interval[0])} to {number.format(interval[1])})" if interval else ""


def verdict(best: str, intervals: Mapping[str, Interval | None]) -> str:
    """Return whether the intervals support that `best` is better than the others, which are named if not."""
    others = {name: interval for name, interval in intervals.items() if name != best}
    if None in intervals.values():
        return "there are no intervals, so their order is uncertain"
    similar = [name for name, interval in others.items() if overlap(interval, intervals[best])]
    if similar:
        return f"its 95 % interval overlaps that of {' and '.join(similar)}, so their order is uncertain"
    return f"its 95 % interval overlaps no other interval, so {best} is better with the seeds of these runs"

"""Mean and standard deviation over several seeds, and the test whether two means differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

CONFIDENCE = 0.95  # that a difference is none of the seeds'


@dataclass(frozen=True)
class Spread:
    """What a number is over `n` seeds: its mean, and their sample standard deviation (n - 1), None of one seed."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value."""
        return cls(mean(values), stdev(values) if len(values) > 1 else None, len(values))


def spreads(numbers: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, Spread]]:
    """Every number that each of the trainings has, over all of them."""
    for key in numbers[0]:
        if all(key in other for other in numbers):
            yield key, Spread.of([float(other[key]) for other in numbers])


def differ(one: Spread, other: Spread) -> bool | None:
    """Whether two means differ by more than the seeds make them: Welch's t-test, two-sided, at `CONFIDENCE`.

    None where a single seed leaves that open.
    """
    if one.deviation is None or other.deviation is None:
        return None
    if one.deviation == other.deviation == 0.0:
        return one.mean != other.mean
    from scipy.stats import ttest_ind_from_stats

    found = ttest_ind_from_stats(one.mean, one.deviation, one.n, other.mean, other.deviation, other.n, equal_var=False)
    return bool(found.pvalue < 1.0 - CONFIDENCE)

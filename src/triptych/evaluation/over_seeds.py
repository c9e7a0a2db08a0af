"""Results of several seeds: which experiments belong together, mean and deviation, and Welch's test."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any, Self

from triptych.core.json_files import canonical_json, flatten

CONFIDENCE = 0.95  # of the test whether two means differ


def group_by_settings(settings: Mapping[str, Mapping[str, Any]]) -> dict[str, list[str]]:
    """Group the experiments whose settings are equal except for the seed.

    Return the names of each group, in the given order, under the name of its first member. An experiment that also
    has the seed of another one starts a group of its own: it is a copy, not another sample. A setting that is off is
    the same as a missing one, since results of older versions lack newer settings.
    """
    groups: dict[str, list[str]] = {}
    first_of: dict[str, str] = {}
    for name, values in settings.items():
        set_to = {key: value for key, value in flatten(values).items() if key != "seed" and value is not None}
        key = canonical_json(set_to)
        first = first_of.setdefault(key, name)
        seeds = [settings[member]["seed"] for member in groups.get(first, ())]
        groups.setdefault(name if values["seed"] in seeds else first, []).append(name)
    return groups


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) of a number over `n` seeds. One seed has no deviation."""

    mean: float
    deviation: float | None
    n: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Return the spread of one or more values."""
        return cls(mean(values), stdev(values) if len(values) > 1 else None, len(values))


def spreads(numbers: Sequence[Mapping[str, float]]) -> Iterator[tuple[str, Spread]]:
    """Yield the name and the spread of each number that all experiments of a group have."""
    for key in numbers[0]:
        if all(key in other for other in numbers):
            yield key, Spread.of([float(other[key]) for other in numbers])


def differ(one: Spread, other: Spread) -> bool | None:
    """Return whether two means differ by Welch's two-sided t-test with p below 1 - `CONFIDENCE`.

    Return None if one of them is of a single seed.
    """
    if one.deviation is None or other.deviation is None:
        return None
    if one.deviation == other.deviation == 0.0:
        return one.mean != other.mean
    from scipy.stats import ttest_ind_from_stats

    found = ttest_ind_from_stats(one.mean, one.deviation, one.n, other.mean, other.deviation, other.n, equal_var=False)
    return bool(found.pvalue < 1.0 - CONFIDENCE)

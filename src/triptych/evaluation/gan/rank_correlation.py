"""Spearman's rank correlation with a confidence interval."""

import math
from collections.abc import Sequence
from typing import NamedTuple

QUANTILE = 1.959963984540054  # the 97.5 % quantile of the standard normal distribution
ROUNDING = 1e-12  # of a correlation
FEWEST = 4  # pairs for an interval


class RankCorrelation(NamedTuple):
    """Spearman's rho and its 95 % interval."""

    value: float
    low: float
    high: float


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Return Spearman's rho of n pairs with the 95 % interval of Bonett and Wright (2000), or None if it is undefined.

    On Fisher's scale the interval is rho +- 1.96 sqrt((1 + rho^2 / 2) / (n - 3)). For rho = 1, where Fisher's scale is
    infinite, it extends from the lower end of the next smaller rho to 1; rho = -1 is treated alike. Rho is undefined
    for fewer than 4 pairs or if one sequence is constant.

    >>> rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).value
    1.0
    """
    import pandas as pd

    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    rho = float(pd.Series(first).rank().corr(pd.Series(second).rank()))
    if abs(rho) < 1 - ROUNDING:
        return RankCorrelation(rho, *_interval(rho, len(first)))
    # The next smaller rho belongs to one exchange of two neighbours.
    low, _ = _interval(1 - 12 / (len(first) ** 3 - len(first)), len(first))
    return RankCorrelation(1.0, low, 1.0) if rho > 0 else RankCorrelation(-1.0, -1.0, -low)


def _interval(rho: float, pairs: int) -> tuple[float, float]:
    error = QUANTILE * math.sqrt((1 + rho**2 / 2) / (pairs - 3))
    return math.tanh(math.atanh(rho) - error), math.tanh(math.atanh(rho) + error)

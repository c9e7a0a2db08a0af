"""Rank correlation with its uncertainty."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

QUANTILE = 1.959963984540054  # of the standard normal at 97.5 %
ROUNDING = 1e-12  # of a correlation
FEWEST = 4  # pairs, for an interval


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rho and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Spearman's rho of n pairs with an interval, on Fisher's scale +- 1.96 sqrt((1 + rho^2 / 2) / (n - 3)).

    The interval is that of Bonett and Wright (2000). Where all ranks agree, which Fisher's scale has no place for, it
    reaches from there to the end of that of the next smaller rho, one exchange of neighbours away. None where rho is
    not defined: for fewer than 4 pairs, or if one of the two is constant.
    """
    import pandas as pd

    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    rho = float(pd.Series(first).rank().corr(pd.Series(second).rank()))
    if abs(rho) < 1 - ROUNDING:
        return RankCorrelation(rho, *_interval(rho, len(first)))
    low, _ = _interval(1 - 12 / (len(first) ** 3 - len(first)), len(first))
    return RankCorrelation(1.0, low, 1.0) if rho > 0 else RankCorrelation(-1.0, -1.0, -low)


def _interval(rho: float, pairs: int) -> tuple[float, float]:
    error = QUANTILE * math.sqrt((1 + rho**2 / 2) / (pairs - 3))
    return math.tanh(math.atanh(rho) - error), math.tanh(math.atanh(rho) + error)

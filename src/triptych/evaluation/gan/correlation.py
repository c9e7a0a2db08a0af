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

    The interval is that of Bonett and Wright (2000). None where rho is not defined: for fewer than 4 pairs, or if one
    of the two is constant.
    """
    import pandas as pd

    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    rho = float(pd.Series(first).rank().corr(pd.Series(second).rank()))
    if abs(rho) > 1 - ROUNDING:
        return RankCorrelation(round(rho), round(rho), round(rho))
    error = QUANTILE * math.sqrt((1 + rho**2 / 2) / (len(first) - 3))
    return RankCorrelation(rho, math.tanh(math.atanh(rho) - error), math.tanh(math.atanh(rho) + error))

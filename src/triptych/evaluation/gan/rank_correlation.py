"""Spearman's rank correlation with a confidence interval and a permutation test."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from triptych.evaluation.intervals import NORMAL

if TYPE_CHECKING:
    import numpy as np

ROUNDING = 1e-12  # of a correlation
FEWEST = 4  # pairs for an interval
SIGNIFICANCE = 0.05  # of the test
PERMUTATIONS = 50_000  # up to 8 pairs, there are fewer


class RankCorrelation(NamedTuple):
    """Spearman's rho, its 95 % interval, and the two-sided p of the permutation test."""

    value: float
    low: float
    high: float
    p: float


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> RankCorrelation | None:
    """Return Spearman's rho of n pairs with the 95 % interval of Bonett and Wright (2000), or None if it is undefined.

    On Fisher's scale the interval is rho +- 1.96 sqrt((1 + rho^2 / 2) / (n - 3)). For rho = 1, where Fisher's scale is
    infinite, it extends from the lower end of the next smaller rho to 1; rho = -1 is treated alike. Rho is undefined
    for fewer than 4 pairs or if one sequence is constant. The test is exact for up to 8 pairs. For more, it uses random
    permutations, always the same ones.

    >>> rank_correlation([1, 2, 3, 4], [1, 4, 9, 16]).value
    1.0
    """
    import pandas as pd

    if len(first) < FEWEST or len(set(first)) == 1 or len(set(second)) == 1:
        return None
    ranks, others = (pd.Series(values).rank() for values in (first, second))
    rho, p = float(ranks.corr(others)), _permutation_test(ranks.to_numpy(), others.to_numpy())
    if abs(rho) < 1 - ROUNDING:
        return RankCorrelation(rho, *_interval(rho, len(first)), p)
    # The next smaller rho belongs to one exchange of two neighbours.
    low, _ = _interval(1 - 12 / (len(first) ** 3 - len(first)), len(first))
    return RankCorrelation(1.0, low, 1.0, p) if rho > 0 else RankCorrelation(-1.0, -1.0, -low, p)


def smallest_p(pairs: int) -> float:
    """Return the smallest two-sided p that the permutation test of n pairs can give, 2 / n!.

    >>> [round(smallest_p(pairs), 3) for pairs in (3, 4, 5)]
    [0.333, 0.083, 0.017]
    """
    return min(1.0, 2 / math.factorial(pairs))


def fewest_for_test() -> int:
    """Return the number of pairs from which p can be below `SIGNIFICANCE`.

    >>> fewest_for_test()
    5
    """
    return next(pairs for pairs in count(1) if smallest_p(pairs) < SIGNIFICANCE)


def _permutation_test(ranks: np.ndarray, others: np.ndarray) -> float:
    from scipy.stats import permutation_test

    centred = others - others.mean()
    found = permutation_test(
        (ranks,),
        lambda permuted, axis: (permuted * centred).sum(axis),  # proportional to rho
        permutation_type="pairings",
        n_resamples=PERMUTATIONS,
        vectorized=True,
        rng=0,
    )
    return float(found.pvalue)


def _interval(rho: float, pairs: int) -> tuple[float, float]:
    error = NORMAL * math.sqrt((1 + rho**2 / 2) / (pairs - 3))
    return math.tanh(math.atanh(rho) - error), math.tanh(math.atanh(rho) + error)

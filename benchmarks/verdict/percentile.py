"""Percentiles that hold: how many samples one needs, and its upper estimate with 99 % confidence.

The rule of MLPerf's LoadGen for early stopping, without tolerance: of ``n`` samples, ``t`` may lie
above the percentile ``share`` when that few would be seen with at most 1 % probability otherwise,
P(Binomial(n, 1 - share) <= t) <= 0.01; the estimate is the t-th largest sample.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import special  # type: ignore[import-untyped]

DOUBT = 0.01


@lru_cache(maxsize=64)
def least_samples(share: float) -> int:
    """Count the samples without which a percentile is only a guess.

    >>> [least_samples(share) for share in (0.9, 0.95, 0.99, 0.999)]
    [64, 130, 662, 6636]
    """
    counts = range(1, 1 << 24)
    return counts[bisect_left(counts, True, key=lambda n: special.bdtr(1, n, 1 - share) <= DOUBT)]


def upper_percentile(values: Sequence[float], share: float) -> float | None:
    """Return a value that the percentile does not exceed, with 99 % confidence; None if too few.

    It is never below the percentile of the samples themselves.

    >>> upper_percentile(range(64), 0.9), upper_percentile(range(63), 0.9)
    (63.0, None)
    """
    allowed = overlong(len(values), share)
    if allowed < 1:
        return None
    return float(np.sort(np.asarray(values, np.float64))[len(values) - allowed])


@lru_cache(maxsize=1024)
def overlong(count: int, share: float) -> int:
    """How many of ``count`` samples may lie above the percentile; 0 when there are too few.

    >>> overlong(662, 0.99), overlong(661, 0.99), overlong(10_000, 0.99), overlong(0, 0.9)
    (1, 0, 77, 0)
    """
    likely = range(1, count + 1)
    return bisect_left(likely, True, key=lambda t: special.bdtr(t, count, 1 - share) > DOUBT)

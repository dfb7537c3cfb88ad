"""Percentiles that hold: how many samples one needs, and its upper estimate with 99 % confidence.

The rule of MLPerf's LoadGen for early stopping, without tolerance: of ``n`` samples, ``t`` may lie
above the percentile ``share`` when that few would be seen with at most 1 % probability otherwise,
P(Binomial(n, 1 - share) <= t) <= 0.01; the estimate is the t-th largest sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy.stats import binom  # type: ignore[import-untyped]

from stylepress.errors import RecipeError

CONFIDENCE = 0.99


@lru_cache(maxsize=64)
def least_samples(share: float, *, confidence: float = CONFIDENCE) -> int:
    """Count the samples without which a percentile is only a guess.

    >>> [least_samples(share) for share in (0.9, 0.95, 0.99, 0.999)]
    [64, 130, 662, 6636]
    """
    most = 16
    while overlong(most, share, confidence=confidence) < 1:
        most *= 2
    counts = np.arange(1, most + 1)
    return int(counts[binom.cdf(1, counts, 1 - share) <= 1 - confidence][0])


def upper_percentile(
    values: Sequence[float], share: float, *, confidence: float = CONFIDENCE
) -> float | None:
    """Return a value that the percentile does not exceed, with ``confidence``; None if too few.

    It is never below the percentile of the samples themselves.

    >>> upper_percentile(range(64), 0.9), upper_percentile(range(63), 0.9)
    (63.0, None)
    """
    allowed = overlong(len(values), share, confidence=confidence)
    if allowed < 1:
        return None
    return float(np.sort(np.asarray(values, np.float64))[len(values) - allowed])


@lru_cache(maxsize=1024)
def overlong(count: int, share: float, *, confidence: float = CONFIDENCE) -> int:
    """How many of ``count`` samples may lie above the percentile; 0 when there are too few.

    >>> overlong(662, 0.99), overlong(661, 0.99), overlong(10_000, 0.99)
    (1, 0, 77)
    """
    if not 0 < share < 1:
        raise RecipeError(f"There is no percentile {share:g}.", "Ask for one between 0 and 1.")
    if count < 1:
        return 0
    first = int(binom.ppf(1 - confidence, count, 1 - share))
    return max(0, first - int(binom.cdf(first, count, 1 - share) > 1 - confidence))

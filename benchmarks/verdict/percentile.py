"""Percentiles that hold: how many samples one needs, and its upper estimate with 99 % confidence.

The rule of MLPerf's LoadGen for early stopping, without tolerance: of ``n`` samples, ``t`` may lie
above the percentile ``share`` when that few would be seen with at most 1 % probability otherwise,
P(Binomial(n, 1 - share) <= t) <= 0.01; the estimate is the t-th largest sample.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from stylepress.errors import RecipeError

CONFIDENCE = 0.99


def least_samples(share: float, *, confidence: float = CONFIDENCE) -> int:
    """Count the samples without which a percentile is only a guess.

    >>> [least_samples(share) for share in (0.9, 0.95, 0.99, 0.999)]
    [64, 130, 662, 6636]
    """
    _check(share)
    low, high = 1, 2
    while _one_or_none(high, share) > 1 - confidence:
        low, high = high, 2 * high
    while low < high:
        middle = (low + high) // 2
        if _one_or_none(middle, share) > 1 - confidence:
            low = middle + 1
        else:
            high = middle
    return low


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


def overlong(count: int, share: float, *, confidence: float = CONFIDENCE) -> int:
    """How many of ``count`` samples may lie above the percentile; 0 when there are too few.

    >>> overlong(662, 0.99), overlong(661, 0.99), overlong(10_000, 0.99)
    (1, 0, 77)
    """
    _check(share)
    if count < 1:
        return 0
    # log P(k) by recurrence: P(k) = P(k - 1) (n - k + 1) / k (1 - p) / p
    over = np.arange(1, count + 1)
    steps = np.log((count - over + 1) / over) + math.log((1 - share) / share)
    logs = count * math.log(share) + np.concatenate([[0.0], np.cumsum(steps)])
    below = np.cumsum(np.exp(logs))
    return max(0, int(np.searchsorted(below, 1 - confidence, side="right")) - 1)


def _one_or_none(count: int, share: float) -> float:
    """P(Binomial(count, 1 - share) <= 1)."""
    return float(share**count + count * (1 - share) * share ** (count - 1))


def _check(share: float) -> None:
    if not 0 < share < 1:
        raise RecipeError(f"There is no percentile {share:g}. Ask for one between 0 and 1.")

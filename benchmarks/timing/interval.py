"""Ratios of times in pairs, with distribution-free intervals that are exact.

The estimate is Hodges and Lehmann's (1963) on logarithms, the interval inverts the test that belongs
to it, Wilcoxon's signed-rank test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import RecipeError

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the second is as large as the first.

    ``low`` and ``high`` bound it with ``confidence``; None when ``count`` is too small for that.
    """

    value: float
    low: float | None
    high: float | None
    count: int
    confidence: float = CONFIDENCE


def paired_ratio(
    first: Sequence[float], second: Sequence[float], *, confidence: float = CONFIDENCE
) -> Ratio:
    """Ratio ``second / first`` of values measured in pairs, one after the other.

    Six pairs are the fewest with an interval at 95 %, eight at 99 %.

    >>> round(paired_ratio([1, 2, 4], [2, 4, 8]).value, 6)
    2.0
    """
    cut = _tail(_signed_rank_counts(len(first)), confidence)
    shifts = _walsh(_logs(first, second))
    value, count = float(np.exp(np.median(shifts))), len(first)
    if cut < 1:
        return Ratio(value, None, None, count, confidence)
    low, high = math.exp(shifts[cut - 1]), math.exp(shifts[-cut])
    return Ratio(value, low, high, count, confidence)


def larger_p(first: Sequence[float], second: Sequence[float], *, above: float = 1.0) -> float:
    """Probability of pairs at least as far up if ``second / first`` were no more than ``above``.

    The exact one-sided signed-rank test: P(T >= t), where t counts the Walsh averages above
    ``log(above)``. It is the test that ``paired_ratio`` inverts, so its p is at most a half of
    1 - confidence exactly where the interval's lower end lies above ``above``. Averages that equal
    it speak for the hypothesis. n pairs cannot give less than 2^-n.

    >>> larger_p([1, 1, 1, 1, 1], [2, 3, 4, 5, 6]) == 2**-5
    True
    """
    counts = _signed_rank_counts(len(first))
    over = int(np.count_nonzero(_walsh(_logs(first, second)) > math.log(above)))
    return float(counts[over:].sum() / counts.sum())


def _logs(first: Sequence[float], second: Sequence[float]) -> NDArray[np.float64]:
    if len(first) != len(second):
        raise RecipeError(
            f"{len(first)} times cannot be paired with {len(second)}.", "Measure both in turns."
        )
    logs: NDArray[np.float64] = np.log(_times(second)) - np.log(_times(first))
    return logs


def _times(values: Sequence[float]) -> NDArray[np.float64]:
    times = np.asarray(values, np.float64)
    if not len(times) or not np.isfinite(times).all() or times.min() <= 0:
        shown = ", ".join(f"{value:g}" for value in values[:4])
        raise RecipeError(
            f"A ratio needs finite values above 0, not {shown or 'none at all'}.",
            "Measure again, with a finer clock or longer work.",
        )
    return times


def _walsh(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Averages of all pairs of values, each with itself too, sorted: n (n + 1) / 2 of them."""
    rows, columns = np.triu_indices(len(logs))
    averages: NDArray[np.float64] = np.sort((logs[rows] + logs[columns]) / 2)
    return averages


def _tail(counts: NDArray[np.float64], confidence: float) -> int:
    """How many of the smallest values of a statistic have at most (1 - confidence) / 2 of it."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, (1 - confidence) / 2, side="right"))


@lru_cache(maxsize=64)
def _signed_rank_counts(pairs: int) -> NDArray[np.float64]:
    """In how many of the 2^n sign patterns the positive ranks sum to 0, 1, 2, ..."""
    counts = np.ones(1)
    for rank in range(1, pairs + 1):
        counts = np.convolve(counts, np.concatenate([[1], np.zeros(rank - 1), [1]]))
    return counts

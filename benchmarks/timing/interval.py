"""Ratios of two sets of times, with distribution-free intervals that are exact.

The estimate is Hodges and Lehmann's (1963) on logarithms, the interval inverts the rank test that
belongs to it: Wilcoxon's signed-rank test for pairs, Mann and Whitney's for two separate sets.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Ratio:
    """How many times the second is as large as the first.

    ``low`` and ``high`` bound it with 95 % confidence; None when ``count`` is too small for that.
    """

    value: float
    low: float | None
    high: float | None
    count: int


def paired_ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Ratio ``second / first`` of values measured in pairs, one after the other.

    Six pairs are the fewest with an interval.

    >>> round(paired_ratio([1, 2, 4], [2, 4, 8]).value, 6)
    2.0
    """
    logs = np.log(np.asarray(second, float)) - np.log(np.asarray(first, float))
    rows, columns = np.triu_indices(len(logs))
    walsh = np.sort((logs[rows] + logs[columns]) / 2)
    return _ratio(walsh, _tail(_signed_rank_counts(len(logs))), len(logs))


def separate_ratio(first: Sequence[float], second: Sequence[float]) -> Ratio:
    """Ratio ``second / first`` of values measured apart from each other."""
    one, two = np.log(np.asarray(first, float)), np.log(np.asarray(second, float))
    shifts = np.sort((two[:, None] - one[None, :]).ravel())
    return _ratio(shifts, _tail(_rank_sum_counts(len(one), len(two))), min(len(one), len(two)))


def _ratio(shifts: NDArray[np.float64], cut: int, count: int) -> Ratio:
    """Median of sorted log ratios, and those ``cut`` places from both ends."""
    value = float(np.exp(np.median(shifts)))
    if cut < 1:
        return Ratio(value, None, None, count)
    return Ratio(value, math.exp(shifts[cut - 1]), math.exp(shifts[-cut]), count)


def _tail(counts: NDArray[np.float64]) -> int:
    """How many of the smallest values of a statistic have at most 2.5 % of the probability."""
    share = np.cumsum(counts) / counts.sum()
    return int(np.searchsorted(share, (1 - CONFIDENCE) / 2, side="right"))


def _signed_rank_counts(pairs: int) -> NDArray[np.float64]:
    """In how many of the 2^n sign patterns the positive ranks sum to 0, 1, 2, ..."""
    counts = np.ones(1)
    for rank in range(1, pairs + 1):
        counts = np.convolve(counts, np.concatenate([[1], np.zeros(rank - 1), [1]]))
    return counts


def _rank_sum_counts(first: int, second: int) -> NDArray[np.float64]:
    """In how many orders of two sets the Mann-Whitney statistic is 0, 1, 2, ...

    The coefficients of the Gaussian binomial, product of (1 - q^(second + i)) / (1 - q^i).
    """
    size = first * second + 1
    counts = np.zeros(size)
    counts[0] = 1
    for number in range(1, first + 1):
        above = second + number
        if above < size:
            counts[above:] -= counts[: size - above].copy()
        for start in range(min(number, size)):
            counts[start::number] = np.cumsum(counts[start::number])
    return counts

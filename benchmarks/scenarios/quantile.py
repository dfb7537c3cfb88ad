"""A quantile of times in a report, or why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.verdict.percentile import least_samples, upper_percentile

MEDIAN = 0.5
TAILS = (0.9, 0.95, 0.99, 0.999)
SHARES = (MEDIAN, *TAILS)


class Quantile(Part):
    """The time that a ``share`` of all samples stays below; None with the reason.

    The half is the samples' own median. The others are estimates from above that hold with 99 %
    confidence, so they need many samples, and are never below the samples' own percentile.
    """

    share: float
    value_ms: float | None
    why: str | None = None


def quantiles_ms(taken_ns: Sequence[int], *, never: int = 0) -> tuple[Quantile, ...]:
    """Take every share of times in ns; ``never`` more samples were never done."""
    every = [*map(float, taken_ns), *[math.inf] * never]
    return tuple(_quantile(every, share, never) for share in SHARES)


def quantile_ms(taken_ns: Sequence[int], share: float) -> Quantile:
    """Take one share of times in ns."""
    return _quantile([*map(float, taken_ns)], share, 0)


def _quantile(every: Sequence[float], share: float, never: int) -> Quantile:
    if not every:
        return Quantile(share=share, value_ms=None, why="no sample was taken")
    value = median(every) if share == MEDIAN else upper_percentile(every, share)
    if value is None:
        why = f"{len(every)} of {least_samples(share)} samples"
        return Quantile(share=share, value_ms=None, why=why)
    if math.isinf(value):
        why = f"{never} of {len(every)} never done"
        return Quantile(share=share, value_ms=None, why=why)
    return Quantile(share=share, value_ms=value / 1e6)

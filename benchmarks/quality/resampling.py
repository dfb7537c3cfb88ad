"""How sure a figure over pictures is: what it would be over other pictures of the same kind.

Squares cut from one picture are alike, so the unit is the picture: one after the other is left out.
In a simulation of 64 squares each of 3 to 24 pictures, random halves of squares held the truth 10 to
20 times of 100, the jackknife over pictures 89 to 97 times.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

Chosen = NDArray[np.intp]
LEAST, MOST = 3, 24
"""Pictures from which there is an interval, and groups of them that are left out in turn."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and, where it could be told, its 95 % bounds."""

    value: float
    low: float | None = None
    high: float | None = None

    def __neg__(self) -> Interval:
        """Turn it round: what was too much is too little."""
        low, high = (None if end is None else -end for end in (self.high, self.low))
        return Interval(-self.value, low, high)

    def within(self, least: float, most: float) -> Interval:
        """Cut the bounds of a figure that cannot leave a range."""
        if self.low is None or self.high is None:
            return self
        return Interval(self.value, max(self.low, least), min(self.high, most))


def mean_interval(values: NDArray[np.float64]) -> Interval:
    """Bound the mean of what these values were drawn from by Student's t."""
    if len(values) < LEAST:
        return Interval(float(values.mean()))
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    return _around(float(values.mean()), error, len(values) - 1)


def jackknife(
    of: Callable[[Chosen], tuple[float, ...]], pictures: Chosen
) -> tuple[tuple[Interval, ...], str]:
    """Bound statistics ``of`` rows by leaving out one picture after the other; say how.

    ``pictures`` (N,) numbers the picture of each row, from 0. Of more than 24 some are left out
    together. A bootstrap would draw pictures twice, which makes covariances smaller and distances
    larger.
    """
    count = len(np.unique(pictures))
    values = of(np.arange(len(pictures)))
    if count < LEAST:
        return tuple(map(Interval, values)), "none"
    groups = pictures % min(count, MOST)
    parts = np.array([of(np.flatnonzero(groups != one)) for one in np.unique(groups)])
    parts[~np.isfinite(parts)] = np.nan  # a ratio of nothing: its interval is not known
    errors = np.sqrt((len(parts) - 1) * parts.var(0)).tolist()
    bounded = (
        _around(value, error, len(parts) - 1) for value, error in zip(values, errors, strict=True)
    )
    return tuple(bounded), f"jackknife over {count} pictures"


def _around(value: float, error: float, freedom: int) -> Interval:
    if not (math.isfinite(error) and math.isfinite(value)):
        return Interval(value)
    wide = float(special.stdtrit(freedom, 0.975)) * error
    return Interval(value, value - wide, value + wide)

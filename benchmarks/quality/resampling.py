"""How sure a figure over pictures is: what it would be over other pictures of the same kind.

Pictures that have nothing to do with each other are halved at random. Squares cut from one picture
are alike, so there the unit is the picture: one after the other is left out. In a simulation of 64
squares each of 3 to 24 pictures, random halves of squares held the truth 10 to 20 times of 100, the
jackknife over pictures 89 to 97 times.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import special  # type: ignore[import-untyped]

from stylepress.benchmarks.quality.result import Interval

Chosen = NDArray[np.intp]

HALVES, BLOCKS = 100, 20
LEAST = 3
"""Values from which a mean has an interval, pictures from which what is left out of them has."""
NORMAL_95 = 1.959963984540054
COSTLY = 512
"""Dimension above which twenty blocks take the place of a hundred halves."""


def mean_interval(
    values: NDArray[np.float64], least: float = -math.inf, most: float = math.inf
) -> Interval:
    """Bound the mean of what these values were drawn from by Student's t, within their range.

    >>> mean_interval(np.array([0.8, 0.9, 1.0]), most=1).high
    1.0
    """
    mean, count = float(values.mean()), len(values)
    if count < LEAST:
        return Interval(value=mean)
    error = float(values.std(ddof=1)) / math.sqrt(count)
    return within(_around(mean, error, _student(count - 1)), least, most)


def within(one: Interval, least: float, most: float) -> Interval:
    """Cut the bounds of a figure that cannot leave a range."""
    if one.low is None or one.high is None:
        return one
    return Interval(value=one.value, low=max(one.low, least), high=float(min(one.high, most)))


@dataclass(frozen=True, slots=True)
class Resampling:
    """Parts of ``count`` features, and what the spread over parts says about all.

    ``groups`` (count,) is the picture that each was cut from; None where each is a picture. Then
    parts are random halves without replacement (Politis & Romano 1994), whose deviation is that of
    the whole without rescaling, or from 512 dimensions on a jackknife over blocks. A bootstrap
    would draw pictures twice, which makes covariances smaller and distances larger.
    """

    count: int
    dimension: int
    seed: int = 0
    groups: Chosen | None = None

    @property
    def title(self) -> str:
        """What is written in the report."""
        if self.groups is not None:
            pictures = len(np.unique(self.groups))
            return f"jackknife over {pictures} pictures" if pictures >= LEAST else "none"
        return f"jackknife over {BLOCKS} blocks" if self._jackknife else f"{HALVES} random halves"

    def intervals(
        self, values: tuple[float, ...], of: Callable[[Chosen], tuple[float, ...]]
    ) -> tuple[Interval, ...]:
        """Bound statistics of all features by the same statistics ``of`` parts."""
        if self.title == "none":
            return tuple(Interval(value=value) for value in values)
        parts = np.array([of(chosen) for chosen in self._parts()])
        parts[~np.isfinite(parts)] = np.nan  # a ratio of nothing: its interval is not known
        if self._jackknife:
            errors, wide = np.sqrt((len(parts) - 1) * parts.var(0)), _student(len(parts) - 1)
        else:
            errors, wide = parts.std(0, ddof=1), NORMAL_95
        return tuple(
            _around(value, error, wide)
            for value, error in zip(values, errors.tolist(), strict=True)
        )

    @property
    def _jackknife(self) -> bool:
        return self.groups is not None or self.dimension > COSTLY

    def _parts(self) -> Iterator[Chosen]:
        if self.groups is not None:
            for group in np.unique(self.groups):
                yield np.flatnonzero(self.groups != group)
            return
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(self.count)
        if self._jackknife:
            for block in np.array_split(order, min(BLOCKS, self.count)):
                yield np.setdiff1d(order, block)
            return
        for _ in range(HALVES):
            yield np.sort(draw.permutation(self.count)[: self.count // 2])


def _around(value: float, error: float, wide: float) -> Interval:
    if not (math.isfinite(error) and math.isfinite(value)):
        return Interval(value=value)
    return Interval(value=value, low=value - wide * error, high=value + wide * error)


def _student(freedom: int) -> float:
    return float(special.stdtrit(freedom, 0.975))

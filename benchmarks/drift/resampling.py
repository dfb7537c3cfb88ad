"""How sure a difference of Frechet distances is: random halves of the pictures, taken jointly."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.result import Interval

Chosen = NDArray[np.intp]

HALVES, BLOCKS = 100, 20
NORMAL_95 = 1.959963984540054
COSTLY = 512
"""Dimension above which twenty blocks take the place of a hundred halves."""


@dataclass(frozen=True, slots=True)
class Resampling:
    """Random halves without replacement (Politis & Romano 1994), or a jackknife over blocks.

    The deviation over halves of n pictures is that of the whole, without rescaling. A bootstrap
    would draw pictures twice, which makes covariances smaller and distances larger.
    """

    seed: int
    jackknife: bool

    @property
    def title(self) -> str:
        """What is written in the report."""
        return f"jackknife over {BLOCKS} blocks" if self.jackknife else f"{HALVES} random halves"

    def interval(self, value: float, count: int, of: Callable[[Chosen], float]) -> Interval:
        """Bound ``value``, a statistic of ``count`` pictures, by ``of`` of parts of them."""
        (bounded,) = self.intervals((value,), count, lambda chosen: (of(chosen),))
        return bounded

    def intervals(
        self, values: tuple[float, ...], count: int, of: Callable[[Chosen], tuple[float, ...]]
    ) -> tuple[Interval, ...]:
        """Bound several statistics that are taken of the same parts."""
        parts = np.array([of(chosen) for chosen in self._parts(count)])
        parts[~np.isfinite(parts)] = np.nan  # a ratio of nothing: its interval is not known
        if self.jackknife:
            errors = np.sqrt((len(parts) - 1) * parts.var(0))
        else:
            errors = parts.std(0, ddof=1)
        return tuple(
            Interval(value=value, low=value - NORMAL_95 * error, high=value + NORMAL_95 * error)
            if math.isfinite(error)
            else Interval(value=value)
            for value, error in zip(values, errors.tolist(), strict=True)
        )

    def _parts(self, count: int) -> Iterator[Chosen]:
        draw = np.random.default_rng(self.seed)
        order = draw.permutation(count)
        if self.jackknife:
            for block in np.array_split(order, min(BLOCKS, count)):
                yield np.setdiff1d(order, block)
            return
        for _ in range(HALVES):
            yield np.sort(draw.permutation(count)[: count // 2])


def resampling_for(dimension: int, *, seed: int) -> Resampling:
    """Choose by what a distance costs: it grows with the cube of the dimension."""
    return Resampling(seed, jackknife=dimension > COSTLY)

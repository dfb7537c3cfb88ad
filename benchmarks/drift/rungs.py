"""The sensitivity ladder as it stands in a report: rungs of known damage, and where a value lies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.part import Part

MORE_IS_WORSE: Mapping[str, bool] = {
    "psnr_db": False,
    "ssim": False,
    "ms_ssim": False,
    "lpips": True,
    "levels": True,
    "cast_levels": True,
    "place_levels": True,
    "content_drift": True,
}
"""Of the paired measures; a distance between sets is worse when it is more."""
AIMED: Mapping[str, tuple[str, ...]] = {
    "cast_levels": ("colour",),
    "place_levels": ("colour",),
    "content_drift": ("jpeg", "blur", "noise", "bits"),
}
"""By which damages a measure is ranked that is made to see only some; all others by every one.

Casts are of the mean colour, which only a tint moves on purpose: of noise, blur or coding they see
what is cut off at black and white. The content is what is drawn, which a tint leaves as it was.
"""


class Rung(Part):
    """One damage of one strength, and what every metric says of it."""

    kind: str
    strength: float
    values: Mapping[str, float]


class Ladder(Part):
    """All rungs, faint to strong within each kind, on ``pictures`` of the original model.

    Distances over sets are over ``count`` squares of them (or the pictures themselves), paired
    measures over ``pairs`` of them. ``drift`` is the size of FD(R, damaged) - FD(R, whole).
    Frechet distances of few squares are larger than those of many: read those of a larger study as
    more damage than the rungs say.
    """

    pictures: int
    count: int
    pairs: int
    rungs: tuple[Rung, ...]

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of damage."""
        return tuple(dict.fromkeys(rung.kind for rung in self.rungs))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every metric that all rungs have."""
        return tuple(
            name for name in self.rungs[0].values if all(name in r.values for r in self.rungs)
        )

    def climb(self, metric: str, kind: str) -> list[float]:
        """Return the values of one metric along one kind."""
        return [rung.values[metric] for rung in self.rungs if rung.kind == kind]

    def correlations(self) -> dict[tuple[str, str], float]:
        """Spearman of each metric, turned so that more is worse, with the damages it should see."""
        return {
            (metric, kind): rank_correlation(
                range(len(climb)), climb if MORE_IS_WORSE.get(metric, True) else [-v for v in climb]
            )
            for metric in self.metrics
            for kind in self.kinds
            if kind in AIMED.get(metric, self.kinds)
            for climb in [self.climb(metric, kind)]
        }

    def like(self, metric: str, value: float) -> dict[str, str]:
        """Say for each kind of damage between which strengths a value of a metric lies.

        ``below`` the faintest or ``beyond`` the strongest where it leaves the ladder.
        """
        sign = 1 if MORE_IS_WORSE.get(metric, True) else -1
        found = {}
        for kind in self.kinds:
            rungs = [rung for rung in self.rungs if rung.kind == kind]
            strengths = [f"{rung.strength:g}" for rung in rungs]
            more = (n for n, r in enumerate(rungs) if sign * r.values[metric] > sign * value)
            first = next(more, len(rungs))
            if first == 0:
                found[kind] = f"below {strengths[0]}"
            elif first == len(rungs):
                found[kind] = f"beyond {strengths[-1]}"
            else:
                found[kind] = f"{strengths[first - 1]} to {strengths[first]}"
        return found


def rank_correlation(one: Sequence[float], two: Sequence[float]) -> float:
    """Spearman's rho, ties by their mean rank; NaN when one of them does not vary.

    >>> rank_correlation([1, 2, 3, 4], [10, 20, 40, 30])
    0.8
    """
    first, second = _ranks(one), _ranks(two)
    first, second = first - first.mean(), second - second.mean()
    size = math.sqrt(float(first @ first) * float(second @ second))
    return round(float(first @ second) / size, 12) if size else math.nan


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    array = np.asarray(values, np.float64)
    below, equal = (array[:, None] > array).sum(1), (array[:, None] == array).sum(1)
    ranks: NDArray[np.float64] = below + (equal - 1) / 2
    return ranks

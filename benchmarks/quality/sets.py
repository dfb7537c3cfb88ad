"""Frechet distances among a reference, an original and its compressed form, and their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.intervals import Chosen, Interval, jackknife
from stylepress.benchmarks.quality.frechet import Gaussian, Reference, rounding

Rows = NDArray[np.float64]

BOUNDED, JUDGED = 2, 5
"""Rows a dimension from which a distance has an interval, and from which it is judged."""


@dataclass(frozen=True, slots=True)
class Features:
    """Features (M, d) of a reference, and (N, d) of the same N squares from three arms.

    ``benign`` are the original's pictures after a change that nobody minds. ``pictures`` (N,) is the
    number of the picture that each row is a square of.
    """

    reference: Rows | None
    original: Rows
    compressed: Rows
    benign: Rows
    pictures: Chosen


@dataclass(frozen=True, slots=True)
class Distances:
    """Distances of ``count`` squares of the original O and its compressed form C, ``references`` of R.

    ``direct`` is FD(O, C), ``benign`` FD(O, O through the benign change), ``ratio`` the one over the
    other. ``gap`` is FD(R, O), ``drift`` FD(R, C) - FD(R, O), ``benign_drift`` what the benign change
    does to it. What so few squares do not allow is None. Below ``rounding`` a distance is nothing;
    ``resampling`` says how the intervals were taken.
    """

    count: int
    references: int
    dimension: int
    direct: Interval
    benign: float
    ratio: Interval | None
    gap: float | None
    drift: Interval | None
    benign_drift: float | None
    rounding: float
    resampling: str


def distances(features: Features) -> Distances:
    """Take every distance that the number of squares allows, with its interval."""
    reference, (count, dimension) = features.reference, features.original.shape
    others = 0 if reference is None else len(reference)
    drifts = min(count, others) >= BOUNDED * dimension
    world = Reference(Gaussian.of(reference)) if reference is not None and drifts else None

    def statistics(chosen: Chosen) -> tuple[float, ...]:
        original, compressed, benign = (
            Gaussian.of(rows[chosen])
            for rows in (features.original, features.compressed, features.benign)
        )
        own = Reference(original)
        direct, usual = own.distance(compressed), own.distance(benign)
        ratio = math.log(direct / usual) if direct > 0 and usual > 0 else math.nan
        if world is None:
            return direct, ratio, usual
        gap = world.distance(original)
        return (
            *(direct, ratio, usual, gap),
            *(world.distance(compressed) - gap, world.distance(benign) - gap),
        )

    if count >= BOUNDED * dimension:
        (direct, ratio, benign, *far), how = jackknife(statistics, features.pictures)
    else:
        direct, ratio, benign, *far = map(Interval, statistics(np.arange(count)))
        how = "none"
    return Distances(
        count=count,
        references=others,
        dimension=dimension,
        direct=direct.within(0, math.inf),
        benign=benign.value,
        ratio=_exponential(ratio) if count >= BOUNDED * dimension else None,
        gap=far[0].value if far else None,
        drift=far[1] if far else None,
        benign_drift=far[2].value if far else None,
        rounding=rounding(features.original),
        resampling=how,
    )


def _exponential(ratio: Interval) -> Interval | None:
    if not math.isfinite(ratio.value):
        return None
    low, high = (None if end is None else math.exp(end) for end in (ratio.low, ratio.high))
    return Interval(math.exp(ratio.value), low, high)

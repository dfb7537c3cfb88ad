"""Frechet distance between two sets of feature vectors, taken as Gaussians, in float64.

|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), Dowson & Landau 1982. The last trace is the sum
of the square roots of the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2): no matrix square root
by iteration, nothing complex, no epsilon. Then the distances among a reference, an original and its
compressed form, with their intervals.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.intervals import Chosen, Interval, jackknife

Matrix = NDArray[np.float64]

NOTHING = 1e-7
"""Share of a trace below which a distance is rounding: roots of eigenvalues keep half the digits."""


@dataclass(frozen=True)
class Gaussian:
    """Mean (d,) and covariance (d, d) of feature vectors."""

    mean: Matrix
    covariance: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Gaussian:
        """Take them of (N, d) vectors, two at least."""
        rows: Matrix = np.asarray(features, np.float64)
        centred = rows - rows.mean(0)
        return cls(rows.mean(0), centred.T @ centred / (len(rows) - 1))

    @cached_property
    def root(self) -> Matrix:
        """The symmetric root of the covariance."""
        values, vectors = np.linalg.eigh(self.covariance)
        root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
        return root

    def distance(self, other: Gaussian) -> float:
        """Return the Frechet distance to another Gaussian of the same dimension."""
        inner, gap = self.root @ other.covariance @ self.root, self.mean - other.mean
        values = np.linalg.eigvalsh((inner + inner.T) / 2)
        traces = float(np.trace(self.covariance)) + float(np.trace(other.covariance))
        value = float(gap @ gap) + traces - 2 * float(np.sqrt(np.maximum(values, 0)).sum())
        return max(value, 0.0)


def features_distance(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Return the Frechet distance of (N, d) and (M, d) vectors.

    >>> features_distance(np.eye(3), np.eye(3) + 2.0)
    12.0
    """
    return Gaussian.of(one).distance(Gaussian.of(two))


def rounding(features: NDArray[np.floating]) -> float:
    """Return the largest distance to itself that a set of (N, d) vectors may show."""
    return NOTHING * float(np.square(features - features.mean(0)).sum() / (len(features) - 1))


BOUNDED, JUDGED = 2, 5
"""Rows a dimension from which a distance has an interval, and from which it is judged."""


@dataclass(frozen=True, slots=True)
class Features:
    """Features (M, d) of a reference, and (N, d) of the same N squares from three arms.

    ``benign`` are the original's pictures after a change that nobody minds. ``pictures`` (N,) is the
    number of the picture that each row is a square of.
    """

    reference: Matrix | None
    original: Matrix
    compressed: Matrix
    benign: Matrix
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
    given = 0 if reference is None else len(reference)
    drifts = min(count, given) >= BOUNDED * dimension
    world = Gaussian.of(reference) if reference is not None and drifts else None

    def statistics(chosen: Chosen) -> tuple[float, ...]:
        original, compressed, benign = (
            Gaussian.of(rows[chosen])
            for rows in (features.original, features.compressed, features.benign)
        )
        direct, usual = original.distance(compressed), original.distance(benign)
        ratio = math.log(direct / usual) if direct > 0 and usual > 0 else math.nan
        if world is None:
            return direct, ratio, usual
        gap, *others = (world.distance(one) for one in (original, compressed, benign))
        return (direct, ratio, usual, gap, *(other - gap for other in others))

    if count >= BOUNDED * dimension:
        (direct, ratio, benign, *far), how = jackknife(statistics, features.pictures)
    else:
        direct, ratio, benign, *far = map(Interval, statistics(np.arange(count)))
        how = "none"
    return Distances(
        count=count,
        references=given,
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

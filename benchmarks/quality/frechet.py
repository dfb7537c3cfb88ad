"""Frechet distance between two sets of feature vectors, taken as Gaussians, in float64.

|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), Dowson & Landau 1982. The last trace is the sum
of the square roots of the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2): no matrix square root
by iteration, nothing complex, no epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

NOTHING = 1e-7
"""Share of a trace below which a distance is rounding: roots of eigenvalues keep half the digits."""


@dataclass(frozen=True, slots=True)
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


class Reference:
    """One Gaussian that others are measured against; the root of its covariance is kept."""

    def __init__(self, one: Gaussian) -> None:
        self._mean, self._trace = one.mean, float(np.trace(one.covariance))
        values, vectors = np.linalg.eigh(one.covariance)
        self._root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def distance(self, other: Gaussian) -> float:
        """Return the Frechet distance to another Gaussian of the same dimension."""
        inner = self._root @ other.covariance @ self._root
        values = np.linalg.eigvalsh((inner + inner.T) / 2)
        gap, traces = self._mean - other.mean, self._trace + float(np.trace(other.covariance))
        value = float(gap @ gap) + traces - 2 * float(np.sqrt(np.maximum(values, 0)).sum())
        return max(value, 0.0)


def features_distance(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Return the Frechet distance of (N, d) and (M, d) vectors.

    >>> features_distance(np.eye(3), np.eye(3) + 2.0)
    12.0
    """
    return Reference(Gaussian.of(one)).distance(Gaussian.of(two))


def rounding(features: NDArray[np.floating]) -> float:
    """Return the largest distance to itself that a set of (N, d) vectors may show."""
    return NOTHING * float(np.square(features - features.mean(0)).sum() / (len(features) - 1))

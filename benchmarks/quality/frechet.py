"""Frechet distance between two sets of feature vectors, taken as Gaussians, in float64.

|m1 - m2|^2 + tr C1 + tr C2 - 2 tr (C1 C2)^(1/2), Dowson & Landau 1982. The last trace is the sum
of the square roots of the eigenvalues of the symmetric C1^(1/2) C2 C1^(1/2): no matrix square root
by iteration, nothing complex, no epsilon.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stylepress.errors import FrameError, VerificationError

Matrix = NDArray[np.float64]

ROUNDING = 1e-6
"""A result this far below zero, as a share of the traces, is rounding; further is a fault."""
NOTHING = 1e-7
"""Share of a trace below which a distance is rounding: roots of eigenvalues keep half the digits."""


@dataclass(frozen=True, slots=True)
class Moments:
    """Count, mean (d,) and scatter (d, d), the sum of outer products of the deviations."""

    count: int
    mean: Matrix
    scatter: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Moments:
        """Take them of (N, d) vectors.

        Raises:
            FrameError: not a matrix, empty, or with values that are not finite.
        """
        rows = _checked(features)
        mean = rows.mean(0)
        centred = rows - mean
        return cls(len(rows), mean, centred.T @ centred)

    @property
    def covariance(self) -> Matrix:
        """Scatter over count - 1.

        Raises:
            FrameError: a single vector has none.
        """
        if self.count < 2:
            raise FrameError(
                "One picture has no covariance.",
                "Give at least two pictures, better ten per feature.",
            )
        covariance: Matrix = self.scatter / (self.count - 1)
        return covariance


class Reference:
    """One Gaussian that others are measured against; the root of its covariance is kept."""

    def __init__(self, moments: Moments) -> None:
        self._mean, covariance = moments.mean, moments.covariance
        self._trace = float(np.trace(covariance))
        values, vectors = np.linalg.eigh(covariance)
        self._root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def distance(self, other: Moments) -> float:
        """Return the Frechet distance to another Gaussian of the same dimension.

        Raises:
            FrameError: of another dimension.
            VerificationError: negative beyond rounding.
        """
        _same_dimension(self._mean, other.mean)
        covariance = other.covariance
        inner = self._root @ covariance @ self._root
        values = np.linalg.eigvalsh((inner + inner.T) / 2)
        cross = float(np.sqrt(np.maximum(values, 0)).sum())
        return _distance(self._mean - other.mean, self._trace + float(np.trace(covariance)), cross)


def frechet_distance(one: Moments, two: Moments) -> float:
    """Return the Frechet distance of two Gaussians from their moments.

    >>> frechet_distance(Moments.of(np.eye(3)), Moments.of(np.eye(3) + 2.0))
    12.0
    """
    return Reference(one).distance(two)


def features_distance(one: NDArray[np.floating], two: NDArray[np.floating]) -> float:
    """Return the Frechet distance of (N, d) and (M, d) vectors."""
    return frechet_distance(Moments.of(one), Moments.of(two))


def rounding(features: NDArray[np.floating]) -> float:
    """Return the largest distance to itself that a set of (N, d) vectors may show."""
    return NOTHING * float(np.square(features - features.mean(0)).sum() / (len(features) - 1))


def _distance(gap: Matrix, traces: float, cross: float) -> float:
    value = float(gap @ gap) + traces - 2 * cross
    if value < -ROUNDING * traces:
        raise VerificationError(
            f"A Frechet distance came out as {value:g} with traces of {traces:g}: the features "
            f"are badly scaled.",
            "Divide each feature by its usual size.",
        )
    return max(value, 0.0)


def _checked(features: NDArray[np.floating]) -> Matrix:
    rows: Matrix = np.asarray(features, np.float64)
    if rows.ndim != 2 or not rows.size:
        raise FrameError(
            f"Features of shape {rows.shape} are not one vector a picture.", "Give (pictures, d)."
        )
    bad = int((~np.isfinite(rows)).any(1).sum())
    if bad:
        raise FrameError(
            f"{bad} of {len(rows)} feature vectors hold NaN or infinity.",
            "Check the extractor: float16 weights overflow easily.",
        )
    return rows


def _same_dimension(one: Matrix, two: Matrix) -> None:
    if one.shape != two.shape:
        raise FrameError(
            f"Features of {one.size} and of {two.size} dimensions cannot be compared.",
            "Take both from one extractor.",
        )

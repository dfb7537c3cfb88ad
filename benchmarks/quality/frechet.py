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
class Gaussian:
    """Mean (d,) and covariance (d, d) of feature vectors."""

    mean: Matrix
    covariance: Matrix

    @classmethod
    def of(cls, features: NDArray[np.floating]) -> Gaussian:
        """Take them of (N, d) vectors.

        Raises:
            FrameError: not a matrix, fewer than two vectors, or values that are not finite.
        """
        rows: Matrix = np.asarray(features, np.float64)
        if rows.ndim != 2 or len(rows) < 2:
            raise FrameError(
                f"Features of shape {rows.shape} have no covariance.",
                "Give one vector a picture, of at least two pictures.",
            )
        bad = int((~np.isfinite(rows)).any(1).sum())
        if bad:
            raise FrameError(
                f"{bad} of {len(rows)} feature vectors hold NaN or infinity.",
                "Check the extractor: float16 weights overflow easily.",
            )
        centred = rows - rows.mean(0)
        return cls(rows.mean(0), centred.T @ centred / (len(rows) - 1))


class Reference:
    """One Gaussian that others are measured against; the root of its covariance is kept."""

    def __init__(self, one: Gaussian) -> None:
        self._mean, self._trace = one.mean, float(np.trace(one.covariance))
        values, vectors = np.linalg.eigh(one.covariance)
        self._root: Matrix = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T

    def distance(self, other: Gaussian) -> float:
        """Return the Frechet distance to another Gaussian of the same dimension.

        Raises:
            FrameError: of another dimension.
            VerificationError: negative beyond rounding.
        """
        if self._mean.shape != other.mean.shape:
            raise FrameError(
                f"Features of {self._mean.size} and of {other.mean.size} dimensions cannot be "
                f"compared.",
                "Take both from one extractor.",
            )
        inner = self._root @ other.covariance @ self._root
        values = np.linalg.eigvalsh((inner + inner.T) / 2)
        gap, traces = self._mean - other.mean, self._trace + float(np.trace(other.covariance))
        value = float(gap @ gap) + traces - 2 * float(np.sqrt(np.maximum(values, 0)).sum())
        if value < -ROUNDING * traces:
            raise VerificationError(
                f"A Frechet distance came out as {value:g} with traces of {traces:g}: the features "
                f"are badly scaled.",
                "Divide each feature by its usual size.",
            )
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

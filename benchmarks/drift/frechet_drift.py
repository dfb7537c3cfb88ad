"""Frechet distances among a reference, an original and its compressed form, and their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.drift.distances.frechet import Moments, Reference, features_distance
from stylepress.benchmarks.drift.features.extractor import ExtractorFact
from stylepress.benchmarks.drift.resampling import Chosen, Resampling, resampling_for
from stylepress.benchmarks.drift.result import FrechetDrift, Interval, Policy

Rows = NDArray[np.float64]

PRINTED, GATED = 2, 5
"""Pictures a dimension from which drift is printed, and from which it is judged."""


@dataclass(frozen=True, slots=True)
class Features:
    """Features (M, d) of a reference, and (N, d) of the same N pictures from three arms.

    ``benign`` are the original's pictures after a change that nobody minds.
    """

    reference: Rows
    original: Rows
    compressed: Rows
    benign: Rows


@dataclass(frozen=True, slots=True)
class Distances:
    """All distances of one set of pictures, or of a part of it."""

    reference_original: float
    reference_compressed: float
    reference_benign: float
    direct: float
    benign: float

    @property
    def drift(self) -> float:
        """FD(R, C) - FD(R, O)."""
        return self.reference_compressed - self.reference_original

    @property
    def log_ratio(self) -> float:
        """Logarithm of FD(O, C) / FD(O, benign O); -inf where nothing changed."""
        if self.direct <= 0 or self.benign <= 0:
            return -math.inf if self.direct <= self.benign else math.inf
        return math.log(self.direct / self.benign)


def frechet_drift(
    features: Features, fact: ExtractorFact, *, seed: int, benign_change: str
) -> FrechetDrift:
    """Take every distance that the number of pictures allows, with its interval."""
    count, least = len(features.original), min(len(features.original), len(features.reference))
    policy = policy_for(least, fact.dimension)
    shuffled = np.random.default_rng(seed).permutation(count)
    one, two = (features.original[half] for half in np.array_split(shuffled, 2))
    enough = policy in ("printed", "gated")
    resampling = resampling_for(fact.dimension, seed=seed)
    return FrechetDrift.model_validate(
        {
            "metric": fact.metric,
            "extractor": fact,
            "n_reference": len(features.reference),
            "n": count,
            "seed": seed,
            "policy": policy,
            "resampling": resampling.title if enough else "none",
            "benign_change": benign_change,
            "floor": features_distance(one, two),
            **(_bounded(features, resampling) if enough else _alone(features)),
        }
    )


def policy_for(count: int, dimension: int) -> Policy:
    """Return what the smaller set's number of pictures allows a Frechet distance to say.

    >>> policy_for(50, 64), policy_for(100, 64), policy_for(200, 64), policy_for(320, 64)
    ('paired only', 'biased', 'printed', 'gated')
    """
    if count < dimension:
        return "paired only"
    if count < PRINTED * dimension:
        return "biased"
    return "printed" if count < GATED * dimension else "gated"


def _alone(features: Features) -> Mapping[str, Any]:
    """Distances of so few pictures that no interval would hold: biased, so no drift of them."""
    return {
        "reference_original": features_distance(features.reference, features.original),
        "reference_compressed": features_distance(features.reference, features.compressed),
        "drift": None,
        "benign_drift": None,
        "direct": Interval(value=features_distance(features.original, features.compressed)),
        "benign": features_distance(features.original, features.benign),
        "direct_over_benign": None,
    }


def _bounded(features: Features, resampling: Resampling) -> Mapping[str, Any]:
    """Take the distances over all pictures, and over parts of them for their intervals."""
    reference = Reference(Moments.of(features.reference))
    whole = distances(features, reference)

    def statistics(chosen: Chosen) -> tuple[float, float, float]:
        part = distances(features, reference, chosen)
        return part.drift, part.direct, part.log_ratio

    drift, direct, ratio = resampling.intervals(
        (whole.drift, whole.direct, whole.log_ratio), len(features.original), statistics
    )
    return {
        "reference_original": whole.reference_original,
        "reference_compressed": whole.reference_compressed,
        "drift": drift,
        "benign_drift": whole.reference_benign - whole.reference_original,
        "direct": direct,
        "benign": whole.benign,
        "direct_over_benign": _exponential(ratio),
    }


def distances(features: Features, reference: Reference, chosen: Chosen | None = None) -> Distances:
    """Take all distances of the pictures ``chosen``, of all of them when None."""
    part = slice(None) if chosen is None else chosen
    original, compressed, benign = (
        Moments.of(rows[part]) for rows in (features.original, features.compressed, features.benign)
    )
    own = Reference(original)
    return Distances(
        reference_original=reference.distance(original),
        reference_compressed=reference.distance(compressed),
        reference_benign=reference.distance(benign),
        direct=own.distance(compressed),
        benign=own.distance(benign),
    )


def _exponential(ratio: Interval) -> Interval | None:
    if not math.isfinite(ratio.value):
        return None
    low, high = (None if end is None else math.exp(end) for end in (ratio.low, ratio.high))
    return Interval(value=math.exp(ratio.value), low=low, high=high)

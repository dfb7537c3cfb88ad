"""Frechet distances among a reference, an original and its compressed form, and their intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stylepress.benchmarks.quality.features.extractor import ExtractorFact
from stylepress.benchmarks.quality.frechet import (
    Moments,
    Reference,
    features_distance,
    rounding,
)
from stylepress.benchmarks.quality.resampling import Chosen, Resampling, within
from stylepress.benchmarks.quality.result import FrechetDrift, Interval, Policy

Rows = NDArray[np.float64]

PRINTED, GATED = 2, 5
"""Pictures a dimension from which drift is printed, and from which it is judged."""
ENOUGH: tuple[Policy | None, ...] = ("printed", "gated")


@dataclass(frozen=True, slots=True)
class Features:
    """Features (M, d) of a reference, and (N, d) of the same N pictures from three arms.

    ``benign`` are the original's pictures after a change that nobody minds. ``groups`` (N,) is the
    picture that each row is a square of, None where each is a picture of its own.
    """

    reference: Rows | None
    original: Rows
    compressed: Rows
    benign: Rows
    groups: Chosen | None = None


@dataclass(frozen=True, slots=True)
class Distances:
    """All distances of one set of pictures, or of a part of it; NaN without a reference."""

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
        """Logarithm of FD(O, C) / FD(O, benign O); not finite where one of them is 0."""
        if self.direct <= 0 or self.benign <= 0:
            return -math.inf if self.direct <= self.benign else math.inf
        return math.log(self.direct / self.benign)


def frechet_drift(
    features: Features, fact: ExtractorFact, *, seed: int, benign_change: str
) -> FrechetDrift:
    """Take every distance that the number of pictures allows, with its interval."""
    reference, original, count = features.reference, features.original, len(features.original)
    policy = policy_for(count, fact.dimension)
    drift_policy: Policy | None = None
    if reference is not None:
        drift_policy = policy_for(min(count, len(reference)), fact.dimension)
    resampling = Resampling(count, fact.dimension, seed=seed, groups=features.groups)
    known: dict[str, Any] = {
        "reference_original": _distance(reference, original),
        "reference_compressed": _distance(reference, features.compressed),
        "drift": None,
        "benign_drift": None,
        "direct": Interval(value=features_distance(original, features.compressed)),
        "benign": features_distance(original, features.benign),
        "direct_over_benign": None,
    }
    if policy in ENOUGH:
        known |= _bounded(features, resampling, drifting=drift_policy in ENOUGH)
    return FrechetDrift(
        metric=fact.metric,
        extractor=fact,
        n_reference=0 if reference is None else len(reference),
        n=count,
        seed=seed,
        policy=policy,
        drift_policy=drift_policy,
        resampling=resampling.title if policy in ENOUGH else "none",
        benign_change=benign_change,
        floor=_floor(features, seed),
        rounding=rounding(original),
        **known,
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


def _floor(features: Features, seed: int) -> float:
    """Distance between two halves of the original's pictures, no picture in both."""
    groups = features.groups
    units = np.arange(len(features.original)) if groups is None else groups
    shuffled = np.random.default_rng(seed).permutation(np.unique(units))
    first = np.isin(units, shuffled[: (len(shuffled) + 1) // 2])
    if not 2 <= int(first.sum()) <= len(units) - 2:
        first = np.arange(len(units)) % 2 == 0  # a single picture: every other square of it
    return features_distance(features.original[first], features.original[~first])


def _distance(reference: Rows | None, rows: Rows) -> float | None:
    return None if reference is None else features_distance(reference, rows)


def _bounded(features: Features, resampling: Resampling, *, drifting: bool) -> dict[str, Any]:
    """Take the distances over all pictures, and over parts of them for their intervals."""
    reference = None
    if drifting and features.reference is not None:
        reference = Reference(Moments.of(features.reference))
    whole = distances(features, reference)

    def statistics(chosen: Chosen) -> tuple[float, ...]:
        part = distances(features, reference, chosen)
        return part.direct, part.log_ratio, part.drift

    direct, ratio, drift = resampling.intervals(
        (whole.direct, whole.log_ratio, whole.drift), statistics
    )
    found = {
        "direct": within(direct, 0, math.inf),
        "benign": whole.benign,
        "direct_over_benign": _exponential(ratio),
    }
    if reference is None:
        return found
    return found | {
        "reference_original": whole.reference_original,
        "reference_compressed": whole.reference_compressed,
        "drift": drift,
        "benign_drift": whole.reference_benign - whole.reference_original,
    }


def distances(
    features: Features, reference: Reference | None, chosen: Chosen | None = None
) -> Distances:
    """Take all distances of the pictures ``chosen``, of all of them when None."""
    part = slice(None) if chosen is None else chosen
    original, compressed, benign = (
        Moments.of(rows[part]) for rows in (features.original, features.compressed, features.benign)
    )
    own = Reference(original)

    def gap(one: Moments) -> float:
        return math.nan if reference is None else reference.distance(one)

    return Distances(
        reference_original=gap(original),
        reference_compressed=gap(compressed),
        reference_benign=gap(benign),
        direct=own.distance(compressed),
        benign=own.distance(benign),
    )


def _exponential(ratio: Interval) -> Interval | None:
    if not math.isfinite(ratio.value):
        return None
    low, high = (None if end is None else math.exp(end) for end in (ratio.low, ratio.high))
    return Interval(value=math.exp(ratio.value), low=low, high=high)

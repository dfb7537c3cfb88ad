"""The gate: which figures a compressed model must keep, and what the measurement says about each.

Two-sided where a change to the better is a change too: a Frechet distance to a reference gets
smaller when pictures lose what the reference does not have. Three-valued, as for times: a
regression is beyond the limit and surely not nothing, ok is surely within, else nobody knows. A
figure without an interval is never sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from stylepress.benchmarks.drift.frechet_drift import GATED
from stylepress.benchmarks.drift.result import (
    Bound,
    Check,
    CheckVerdict,
    FrechetDrift,
    Interval,
    Paired,
    Policy,
)
from stylepress.errors import RecipeError

NO_LIMIT = "no limit was given"
TURNED = 3.0
"""Directions of d dimensions that have nothing to do with each other have a cosine of 0 with deviation
1 / sqrt d; this many deviations are what chance may do. Of what was tried, benign changes had 0.0 to
0.1, chroma that is lost 0.3, which is three deviations of 89 dimensions."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a compressed model may change. None: not judged.

    ``drift_share`` is the drift allowed as a share of FD(reference, original) (MLPerf's band is
    2 %), but never less than what a change as small as the benign one does in any direction that
    chance would give it; ``drift`` is an absolute one in its place. ``benign_factor`` is how many times as far from the original the pictures may be as its
    own pictures after a benign change. The rest limits paired figures: means, the 5 % that suffer most,
    and the worst picture.

    Of the three styles that ship, INT8 lies 0.04 to 0.21 times as far from float as a benign change
    does, at 34 to 40 dB; noise of one level 1.0 to 1.7 times, at 48 dB; leaving 70 % of their chroma
    53 to 122 times, at 25 to 29 dB. A picture may be worse than the mean: in an even sky the same
    strokes fall elsewhere, at 22 dB. The mean colour of a picture is off by up to 0.4 levels, that of
    a place of 64 pixels by up to 13: 3 levels of one channel are what one just notices side by side,
    and a distance that adds up everything, detail above all, would let 6 pass.
    """

    drift_share: float | None = 0.02
    drift: float | None = None
    benign_factor: float | None = 3.0
    psnr_mean_db: float | None = 30.0
    psnr_worst_db: float | None = 20.0
    ssim_mean: float | None = 0.90
    ssim_worst: float | None = 0.75
    cast_mean: float | None = 3.0
    place_worst: float | None = 20.0
    lpips_mean: float | None = 0.05
    lpips_p95: float | None = 0.10

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep.

        Raises:
            RecipeError: one at or below zero.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise RecipeError(
                    f"A limit of {value} for {name} judges nothing. Give a number above 0, or None."
                )


def checks(
    frechet: FrechetDrift, paired: tuple[Paired, ...], limits: Limits, *, names: Sequence[str]
) -> tuple[Check, ...]:
    """Hold every figure against its limit; ``names`` are those of the pictures."""
    return (
        _drift(frechet, limits),
        _direct(frechet, limits),
        *_paired({one.measure: one for one in paired}, limits, names),
    )


def _drift(frechet: FrechetDrift, limits: Limits) -> Check:
    """Both signs count: below the limit on the good side is still another model."""
    name, drift = f"drift of {frechet.metric}", frechet.drift
    if frechet.drift_policy is None or frechet.reference_original is None:
        return _check(name, None, why="no references were given")
    wanted, words = _allowed(frechet, frechet.reference_original, limits)
    few = _few(frechet, frechet.drift_policy, min(frechet.n, frechet.n_reference))
    if drift is None or few or wanted is None:
        return _check(name, drift, why=few or NO_LIMIT)
    # What moves by no more than this is a benign change, or arithmetic.
    floor = max(abs(frechet.benign_drift or 0.0), frechet.rounding)
    limit = max(wanted, floor)
    low, high = _bounds(drift)
    verdict: CheckVerdict = "inconclusive"
    if (drift.value > limit and low > floor) or (drift.value < -limit and high < -floor):
        verdict = "regression"
    elif -limit <= low and high <= limit:
        verdict = "ok"
    why = _unsure(drift)
    if verdict == "regression" and drift.value < 0:
        why = "nearer to the reference than the original is: not the original's pictures any more"
    elif limit > wanted:
        why = why or f"{frechet.benign_change} alone moves it by {floor:.3g}"
    return _check(name, drift, verdict=verdict, limit=limit, bound="within", why=why or words)


def _allowed(frechet: FrechetDrift, gap: float, limits: Limits) -> tuple[float | None, str]:
    """Return the drift that is allowed at ``gap`` from the reference, and what sets it."""
    if limits.drift is not None or limits.drift_share is None:
        return limits.drift, ""
    share = limits.drift_share * gap
    ceiling = _ceiling(frechet.benign, gap, frechet.extractor.dimension)
    if share >= ceiling:
        return share, f"the limit is {limits.drift_share:.0%} of the distance to the reference"
    words = f"the limit is what {frechet.benign_change} may move it by"
    part = f", {ceiling / gap:.0%} of the distance to the reference" if gap > 0 else ""
    return ceiling, words + part


def _ceiling(direct: float, gap: float, dimension: int) -> float:
    """Return how far a change of that direct distance drifts at ``gap`` from the reference.

    The root of a Frechet distance is a metric, so never further than P + 2 sqrt(P F), straight away
    from the reference; in a direction that chance gives, by its cosine less.
    """
    cosine = min(1.0, TURNED / math.sqrt(dimension))
    return direct + 2 * cosine * math.sqrt(direct * gap)


def _direct(frechet: FrechetDrift, limits: Limits) -> Check:
    name = f"direct {frechet.metric} over a benign change"
    ratio, limit = frechet.direct_over_benign, limits.benign_factor
    few = _few(frechet, frechet.policy, frechet.n)
    if few or limit is None:
        return _check(name, ratio, why=few or NO_LIMIT)
    if frechet.direct.value <= frechet.rounding:
        why = "the pictures are the same"
        return _check(name, Interval(value=0.0), verdict="ok", limit=limit, why=why)
    if ratio is None or frechet.benign <= frechet.rounding:
        why = f"{frechet.benign_change} changes nothing here, and the compressed model does"
        return _check(name, None, verdict="regression", limit=limit, why=why)
    low, high = _bounds(ratio)
    verdict: CheckVerdict = "inconclusive"
    if ratio.value > limit and low > 1:
        verdict = "regression"
    elif high <= limit:
        verdict = "ok"
    return _check(name, ratio, verdict=verdict, limit=limit, why=_unsure(ratio))


def _paired(known: Mapping[str, Paired], limits: Limits, names: Sequence[str]) -> Iterator[Check]:
    """Means by their interval; quantiles and worst pictures as they are, for they are counts."""
    asked = (
        ("psnr_db", "mean", limits.psnr_mean_db),
        ("psnr_db", "worst", limits.psnr_worst_db),
        ("ssim", "mean", limits.ssim_mean),
        ("ssim", "worst", limits.ssim_worst),
        ("cast_levels", "mean", limits.cast_mean),
        ("place_levels", "worst", limits.place_worst),
        ("lpips", "mean", limits.lpips_mean),
        ("lpips", "p95", limits.lpips_p95),
    )
    for measure, part, limit in asked:
        one = known.get(measure)
        if one is None or limit is None:
            continue
        worst = one.worst[0]
        if part == "mean":
            seen = Interval(value=one.mean, low=one.low, high=one.high)
            ends, why = _bounds(seen), _unsure(seen)
        else:
            seen = Interval(value=worst.value if part == "worst" else one.p95)
            ends, why = (seen.value, seen.value), names[worst.picture] if part == "worst" else ""
        sign = 1 if one.more_is_worse else -1
        best, worse = sorted(sign * end for end in ends)
        verdict: CheckVerdict = "inconclusive"
        if best > sign * limit:
            verdict = "regression"
        elif worse <= sign * limit:
            verdict = "ok"
        bound: Bound = "at most" if one.more_is_worse else "at least"
        yield _check(f"{measure} {part}", seen, verdict=verdict, limit=limit, bound=bound, why=why)


def _bounds(one: Interval) -> tuple[float, float]:
    """Return where a figure may lie: anywhere, when nobody could tell."""
    low, high = one.low, one.high
    return -math.inf if low is None else low, math.inf if high is None else high


def _unsure(one: Interval) -> str:
    return "too few pictures for an interval" if one.low is None or one.high is None else ""


def _few(frechet: FrechetDrift, policy: Policy, count: int) -> str:
    """Say why a distance is not judged, nothing where it is."""
    if policy == "gated":
        return ""
    dimension = frechet.extractor.dimension
    return f"too few: {count} for {dimension} dimensions, judged from {GATED * dimension}"


def _check(
    name: str,
    seen: Interval | None,
    *,
    verdict: CheckVerdict = "not judged",
    limit: float | None = None,
    bound: Bound = "at most",
    why: str,
) -> Check:
    return Check(
        name=name,
        value=None if seen is None else seen.value,
        low=None if seen is None else seen.low,
        high=None if seen is None else seen.high,
        limit=limit,
        bound=bound,
        verdict=verdict,
        why=why,
    )

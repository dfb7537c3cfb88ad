"""What a compressed model must keep of its original's pictures, each figure held against its limit.

Two-sided where a change to the better is a change too: a Frechet distance to a reference gets
smaller when pictures lose what the reference does not have. A figure without an interval is never
sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from stylepress.benchmarks.check import Check, Verdict
from stylepress.benchmarks.gate import USUAL, Limits, figure
from stylepress.benchmarks.quality.result import Drift, FrechetDrift, Interval, Paired, Policy
from stylepress.benchmarks.quality.sets import GATED

SUBJECT = "drift"
TURNED = 3.0
"""Directions of d dimensions that have nothing to do with each other have a cosine of 0 with deviation
1 / sqrt d; this many deviations are what chance may do. Of what was tried, benign changes had 0.0 to
0.1, chroma that is lost 0.3, which is three deviations of 89 dimensions."""
MEANS: Mapping[str, tuple[str, str]] = {
    "drift_psnr_mean_db": ("psnr_db", "mean"),
    "drift_psnr_worst_db": ("psnr_db", "worst"),
    "drift_ssim_mean": ("ssim", "mean"),
    "drift_ssim_worst": ("ssim", "worst"),
    "drift_cast_levels": ("cast_levels", "mean"),
    "drift_place_levels": ("place_levels", "worst"),
    "drift_lpips_mean": ("lpips", "mean"),
    "drift_lpips_p95": ("lpips", "p95"),
}
"""Which paired measure a limit is of: the mean, the worst picture, or what 95 % keep to."""
OPEN = "too few pictures for an interval"


def checks(
    frechet: FrechetDrift,
    paired: tuple[Paired, ...],
    limits: Limits = USUAL,
    *,
    names: Sequence[str],
) -> tuple[Check, ...]:
    """Hold every figure against its limit; ``names`` are those of the pictures."""
    return (
        _drift(frechet, limits.limit("drift_percent")),
        _direct(frechet, limits.limit("drift_benign_times")),
        *_paired({one.measure: one for one in paired}, limits, names),
    )


def judged_again(drift: Drift, limits: Limits) -> tuple[Check, ...]:
    """Hold the figures of a study against other limits; nothing where it has none."""
    if not drift.checks:
        return ()
    own = checks(drift.frechet, drift.paired, limits, names=drift.names)
    return (*(one for one in drift.checks if one.key == "golden_levels"), *own)


def _drift(frechet: FrechetDrift, percent: float | None) -> Check:
    """Both signs count: below the limit on the good side is still another model."""
    drift, gap = frechet.drift, frechet.reference_original
    if frechet.drift_policy is None or gap is None:
        return _made("drift_percent", None, note="no references were given")
    few = _few(frechet, frechet.drift_policy, min(frechet.n, frechet.n_reference))
    if drift is None or few or percent is None:
        return _made("drift_percent", drift, note=few)
    wanted, words = _allowed(frechet, gap, percent / 100)
    # What moves by no more than this is a benign change, or arithmetic.
    floor = max(abs(frechet.benign_drift or 0.0), frechet.rounding)
    limit = max(wanted, floor)
    low, high = _bounds(drift)
    verdict: Verdict = "INCONCLUSIVE"
    if (drift.value > limit and low > floor) or (drift.value < -limit and high < -floor):
        verdict = "FAIL"
    elif -limit <= low and high <= limit:
        verdict = "PASS"
    note = _unsure(drift)
    if verdict == "FAIL" and drift.value < 0:
        note = "nearer to the reference than the original is: not the original's pictures any more"
    elif limit > wanted:
        note = note or f"{frechet.benign_change} alone moves it by {floor:.3g}"
    return _made("drift_percent", drift, verdict=verdict, limit=limit, note=note or words)


def _allowed(frechet: FrechetDrift, gap: float, share: float) -> tuple[float, str]:
    """Return the drift that is allowed at ``gap`` from the reference, and what sets it.

    It is a share of that way (MLPerf's band is 2 %), but never less than what a change as small as
    the benign one does in any direction that chance would give it: the root of a Frechet distance
    is a metric, so that is never further than P + 2 sqrt(P F), by the direction's cosine less.
    """
    cosine = min(1.0, TURNED / math.sqrt(frechet.extractor.dimension))
    ceiling = frechet.benign + 2 * cosine * math.sqrt(frechet.benign * gap)
    if share * gap >= ceiling:
        return share * gap, f"the limit is {share:.0%} of the distance to the reference"
    part = f", {ceiling / gap:.0%} of the distance to the reference" if gap > 0 else ""
    return ceiling, f"the limit is what {frechet.benign_change} may move it by{part}"


def _direct(frechet: FrechetDrift, limit: float | None) -> Check:
    key, ratio = "drift_benign_times", frechet.direct_over_benign
    few = _few(frechet, frechet.policy, frechet.n)
    if few or limit is None:
        return _made(key, ratio, note=few)
    if frechet.direct.value <= frechet.rounding:
        return _made(
            key, Interval(value=0.0), verdict="PASS", limit=limit, note="the pictures are the same"
        )
    if ratio is None or frechet.benign <= frechet.rounding:
        note = f"{frechet.benign_change} changes nothing here, and the compressed model does"
        return _made(key, None, verdict="FAIL", limit=limit, note=note)
    low, high = _bounds(ratio)
    verdict: Verdict = "INCONCLUSIVE"
    if ratio.value > limit and low > 1:
        verdict = "FAIL"
    elif high <= limit:
        verdict = "PASS"
    return _made(key, ratio, verdict=verdict, limit=limit, note=_unsure(ratio))


def _paired(known: Mapping[str, Paired], limits: Limits, names: Sequence[str]) -> Iterator[Check]:
    """Means by their interval; quantiles and worst pictures as they are, for they are counts."""
    for key, (measure, part) in MEANS.items():
        one, limit = known.get(measure), limits.limit(key)
        if one is None or limit is None:
            continue
        worst = one.worst[0]
        if part == "mean":
            value = Interval(value=one.mean, low=one.low, high=one.high)
            ends, note = _bounds(value), _unsure(value)
        else:
            value = Interval(value=worst.value if part == "worst" else one.p95)
            ends = value.value, value.value
            note = names[worst.picture] if part == "worst" else ""
        sign = 1 if one.more_is_worse else -1
        best, worse = sorted(sign * end for end in ends)
        verdict: Verdict = "INCONCLUSIVE"
        if best > sign * limit:
            verdict = "FAIL"
        elif worse <= sign * limit:
            verdict = "PASS"
        yield _made(key, value, verdict=verdict, limit=limit, note=note)


def _bounds(one: Interval) -> tuple[float, float]:
    """Return where a figure may lie: anywhere, when nobody could tell."""
    low, high = one.low, one.high
    return -math.inf if low is None else low, math.inf if high is None else high


def _unsure(one: Interval) -> str:
    return OPEN if one.low is None or one.high is None else ""


def _few(frechet: FrechetDrift, policy: Policy, count: int) -> str:
    """Say why a distance is not judged, nothing where it is."""
    if policy == "gated":
        return ""
    dimension = frechet.extractor.dimension
    return f"too few: {count} for {dimension} dimensions, judged from {GATED * dimension}"


def _made(
    key: str,
    value: Interval | None,
    *,
    verdict: Verdict | None = None,
    limit: float | None = None,
    note: str = "",
) -> Check:
    return figure(
        key,
        SUBJECT,
        kind="pictures",
        new=None if value is None else value.value,
        low=None if value is None else value.low,
        high=None if value is None else value.high,
        limit=limit,
        verdict=verdict,
        note=note,
    )

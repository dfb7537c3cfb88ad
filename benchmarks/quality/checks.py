"""What a compressed model must keep of its original's pictures, each figure held against its limit.

Two-sided where a change to the better is a change too: a Frechet distance to a reference gets
smaller when pictures lose what the reference does not have. A figure without an interval is never
sure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from stylepress.benchmarks.check import Check, Verdict
from stylepress.benchmarks.gate import FIGURES, Limits, figure
from stylepress.benchmarks.intervals import Interval, mean_interval
from stylepress.benchmarks.quality.frechet import JUDGED, Distances
from stylepress.benchmarks.quality.pixels import RANGES

SUBJECT = "drift"
BENIGN_TINT, BENIGN_QUALITY = 1.0, 95
BENIGN = f"a tint of {BENIGN_TINT:g} level and JPEG {BENIGN_QUALITY}"
"""What nobody minds, of both kinds: a shift of colours, which features of means see, and detail."""
TURNED = 3.0
"""Directions of d dimensions that have nothing to do with each other have a cosine of 0 with deviation
1 / sqrt d; this many deviations are what chance may do. Of what was tried, benign changes had 0.0 to
0.1, chroma that is lost 0.3, which is three deviations of 89 dimensions."""
PAIRED: Mapping[str, tuple[str, bool]] = {
    "drift_psnr_mean_db": ("psnr_db", True),
    "drift_psnr_worst_db": ("psnr_db", False),
    "drift_ssim_mean": ("ssim", True),
    "drift_ssim_worst": ("ssim", False),
    "drift_cast_levels": ("cast_levels", True),
    "drift_place_levels": ("place_levels", False),
}
"""Which measure of two pictures a limit is of: the mean, or else the worst picture."""
OPEN = "too few pictures for an interval"


def distance_checks(found: Distances, limits: Limits) -> Iterator[Check]:
    """Hold the drift and the direct distance against their limits; the latter is shown too."""
    yield _drift(found, limits.limit("drift_percent"))
    yield _ratio(found, limits.limit("drift_benign_times"))
    one = found.direct
    note = f"{BENIGN}: {found.benign:.3g}"
    yield Check(subject=SUBJECT, metric="direct P", new=one.value, low=one.low, high=one.high,
                note=note)  # fmt: skip


def paired_checks(
    scores: Sequence[Mapping[str, float]], limits: Limits, names: Sequence[str]
) -> Iterator[Check]:
    """Hold means by their interval, and worst pictures as they are, for they are counts."""
    for key, (measure, mean) in PAIRED.items():
        known = [(one[measure], name) for one, name in zip(scores, names, strict=True)
                 if measure in one]  # fmt: skip
        if not known or limits.limit(key) is None:
            continue
        value, note = (min if FIGURES[key].bound == "at least" else max)(known)
        one = Interval(value)
        if mean:
            one = mean_interval(np.array([value for value, _ in known])).within(*RANGES[measure])
            note = OPEN if one.low is None else ""
        check = limits.held(_made(key, one, note=note))
        yield check.model_copy(update={"verdict": "INCONCLUSIVE"}) if note == OPEN else check


def _held(one: Interval, limit: float, *, surely: float) -> Verdict:
    """FAIL beyond the limit where the lower end is beyond ``surely``; PASS where the upper keeps it."""
    if one.low is None or one.high is None:
        return "INCONCLUSIVE"
    if one.value > limit and one.low > surely:
        return "FAIL"
    return "PASS" if one.high <= limit else "INCONCLUSIVE"


def _drift(found: Distances, share_percent: float | None) -> Check:
    """Both signs count: below the limit on the good side is still another model."""
    key, drift = "drift_percent", found.drift
    if not found.references:
        return _made(key, None, note="no references were given")
    few = _few(found, min(found.count, found.references))
    if drift is None or found.gap is None or few or share_percent is None:
        return _made(key, drift, note=few)
    wanted, words = _allowed(found, found.gap, share_percent / 100)
    # What moves by no more than this is a benign change, or arithmetic.
    floor = max(abs(found.benign_drift or 0.0), found.rounding)
    limit = max(wanted, floor)
    sides = [_held(one, limit, surely=floor) for one in (drift, -drift)]
    verdict: Verdict = "FAIL" if "FAIL" in sides else "INCONCLUSIVE"
    if sides == ["PASS", "PASS"]:
        verdict = "PASS"
    if verdict == "FAIL" and drift.value < 0:
        words = "nearer to the reference than the original is: not the original's pictures any more"
    elif drift.low is None:
        words = OPEN
    elif limit > wanted:
        words = f"{BENIGN} alone moves it by {floor:.3g}"
    return _made(key, drift, verdict=verdict, limit=limit, note=words)


def _allowed(found: Distances, gap: float, share: float) -> tuple[float, str]:
    """Return the drift that is allowed at ``gap`` from the reference, and what sets it.

    It is a share of that way (MLPerf's band is 2 %), but never less than what a change as small as
    the benign one does in any direction that chance would give it: the root of a Frechet distance
    is a metric, so that is never further than P + 2 sqrt(P F), by the direction's cosine less.
    """
    cosine = min(1.0, TURNED / math.sqrt(found.dimension))
    ceiling = found.benign + 2 * cosine * math.sqrt(found.benign * gap)
    if share * gap >= ceiling:
        return share * gap, f"the limit is {share:.0%} of the distance to the reference"
    part = f", {ceiling / gap:.0%} of the distance to the reference" if gap > 0 else ""
    return ceiling, f"the limit is what {BENIGN} may move it by{part}"


def _ratio(found: Distances, limit: float | None) -> Check:
    key, ratio = "drift_benign_times", found.ratio
    few = _few(found, found.count)
    if few or limit is None:
        return _made(key, ratio, note=few)
    if found.direct.value <= found.rounding:
        same = Interval(0.0)
        return _made(key, same, verdict="PASS", limit=limit, note="the pictures are the same")
    if ratio is None or found.benign <= found.rounding:
        note = f"{BENIGN} changes nothing here, and the compressed model does"
        return _made(key, None, verdict="FAIL", limit=limit, note=note)
    note = OPEN if ratio.low is None else ""
    return _made(key, ratio, verdict=_held(ratio, limit, surely=1), limit=limit, note=note)


def _few(found: Distances, count: int) -> str:
    """Say why a distance of ``count`` squares is not judged, nothing where it is."""
    least = JUDGED * found.dimension
    if count >= least:
        return ""
    return f"too few: {count} for {found.dimension} dimensions, judged from {least}"


def _made(key: str, value: Interval | None, **facts: object) -> Check:
    new, low, high = (value.value, value.low, value.high) if value else (None, None, None)
    return figure(key, SUBJECT, kind="pictures", new=new, low=low, high=high, **facts)

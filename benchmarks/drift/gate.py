"""The gate: which figures a compressed model must keep, and what the measurement says about each.

Two-sided where a change to the better is a change too: a Frechet distance to a reference gets
smaller when pictures lose what the reference does not have. Three-valued, as for times: a
regression is beyond the limit and surely not nothing, ok is surely within, else nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stylepress.benchmarks.drift.paired import Paired
from stylepress.benchmarks.drift.result import Bound, Check, CheckVerdict, FrechetDrift
from stylepress.errors import RecipeError


@dataclass(frozen=True, slots=True)
class Limits:
    """What a compressed model may change. None: not judged.

    ``drift_share`` is the drift allowed as a share of FD(reference, original) (MLPerf's band is
    2 %), ``drift`` an absolute one in its place. ``benign_factor`` is how many times as far from
    the original the pictures may be as its own pictures through JPEG 95. The rest limits paired
    figures: means, the 5 % that suffer most, and the worst picture.
    """

    drift_share: float | None = 0.02
    drift: float | None = None
    benign_factor: float | None = 3.0
    psnr_mean_db: float | None = 30.0
    psnr_worst_db: float | None = 24.0
    ssim_mean: float | None = 0.90
    ssim_worst: float | None = 0.75
    lpips_mean: float | None = 0.05
    lpips_p95: float | None = 0.10

    def __post_init__(self) -> None:
        """Refuse limits that nothing can keep.

        Raises:
            RecipeError: one at or below zero.
        """
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise RecipeError(
                    f"A limit of {value} for {name} judges nothing. Give a number above 0, or None."
                )


def checks(frechet: FrechetDrift, paired: tuple[Paired, ...], limits: Limits) -> tuple[Check, ...]:
    """Hold every figure against its limit."""
    return (
        _drift(frechet, limits),
        _direct(frechet, limits),
        *_paired({one.measure: one for one in paired}, limits),
    )


def _drift(frechet: FrechetDrift, limits: Limits) -> Check:
    """Both signs count: below the limit on the good side is still another model."""
    metric = f"drift of {frechet.metric}"
    drift, reference = frechet.drift, frechet.reference_original
    if drift is None or reference is None:
        why = f"{frechet.n} pictures of {frechet.extractor.dimension} dimensions: {frechet.policy}"
        return _unjudged(metric, "within", why)
    wanted = limits.drift
    if wanted is None and limits.drift_share is not None:
        wanted = limits.drift_share * reference
    if frechet.policy != "gated" or wanted is None:
        why = "no limit was given" if wanted is None else _few(frechet)
        return _unjudged(metric, "within", why, drift.value, drift.low, drift.high)
    floor = abs(frechet.benign_drift or 0.0)
    limit = max(wanted, floor)
    low, high = _bounds(drift.value, drift.low, drift.high)
    verdict: CheckVerdict = "inconclusive"
    if (drift.value > limit and low > floor) or (drift.value < -limit and high < -floor):
        verdict = "regression"
    elif -limit <= low and high <= limit:
        verdict = "ok"
    why = ""
    if limit > wanted:
        why = f"{frechet.benign_change} alone moves it by {floor:.3g}, more than the {wanted:.3g}"
    elif verdict == "regression" and drift.value < 0:
        why = "nearer to the reference than the original is: not the original's pictures any more"
    return Check(
        name=metric,
        value=drift.value,
        low=drift.low,
        high=drift.high,
        limit=limit,
        bound="within",
        verdict=verdict,
        why=why,
    )


def _direct(frechet: FrechetDrift, limits: Limits) -> Check:
    name, ratio = (
        f"direct {frechet.metric} over {frechet.benign_change}",
        frechet.direct_over_benign,
    )
    if ratio is None:
        if frechet.direct.value == 0 and frechet.policy in ("printed", "gated"):
            return Check(
                name=name,
                value=0.0,
                limit=limits.benign_factor,
                bound="at most",
                verdict="ok",
                why="the pictures are the same",
            )
        return _unjudged(name, "at most", _few(frechet))
    limit = limits.benign_factor
    if frechet.policy != "gated" or limit is None:
        why = "no limit was given" if limit is None else _few(frechet)
        return _unjudged(name, "at most", why, ratio.value, ratio.low, ratio.high)
    low, high = _bounds(ratio.value, ratio.low, ratio.high)
    verdict: CheckVerdict = "inconclusive"
    if ratio.value > limit and low > 1:
        verdict = "regression"
    elif high <= limit:
        verdict = "ok"
    return Check(
        name=name,
        value=ratio.value,
        low=ratio.low,
        high=ratio.high,
        limit=limit,
        bound="at most",
        verdict=verdict,
    )


def _paired(known: dict[str, Paired], limits: Limits) -> Iterator[Check]:
    """Means by their interval; quantiles and worst pictures as they are, for they are counts."""
    asked = (
        ("psnr_db", "mean", limits.psnr_mean_db),
        ("psnr_db", "worst", limits.psnr_worst_db),
        ("ssim", "mean", limits.ssim_mean),
        ("ssim", "worst", limits.ssim_worst),
        ("lpips", "mean", limits.lpips_mean),
        ("lpips", "p95", limits.lpips_p95),
    )
    for measure, part, limit in asked:
        one = known.get(measure)
        if one is None or limit is None:
            continue
        low, high = (one.low, one.high) if part == "mean" else (None, None)
        value = {"mean": one.mean, "worst": one.worst[0].value, "p95": one.p95}[part]
        sign = 1 if one.more_is_worse else -1
        ends = sorted(sign * end for end in _bounds(value, low, high))
        verdict: CheckVerdict = "inconclusive"
        if ends[0] > sign * limit:
            verdict = "regression"
        elif ends[1] <= sign * limit:
            verdict = "ok"
        yield Check(
            name=f"{measure} {part}",
            value=value,
            low=low,
            high=high,
            limit=limit,
            bound="at most" if one.more_is_worse else "at least",
            verdict=verdict,
            why=f"picture {one.worst[0].picture}" if part == "worst" else "",
        )


def _bounds(value: float, low: float | None, high: float | None) -> tuple[float, float]:
    return (value if low is None else low), (value if high is None else high)


def _few(frechet: FrechetDrift) -> str:
    dimension = frechet.extractor.dimension
    return (
        f"{min(frechet.n, frechet.n_reference)} pictures of {dimension} dimensions are too few: "
        f"judged from {5 * dimension}"
    )


def _unjudged(
    name: str,
    bound: Bound,
    why: str,
    value: float | None = None,
    low: float | None = None,
    high: float | None = None,
) -> Check:
    return Check(
        name=name,
        value=value,
        low=low,
        high=high,
        limit=None,
        bound=bound,
        verdict="not judged",
        why=why,
    )

"""Two reports against each other: a trend, unless the newer one measured both bundles in turns."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylepress import __version__
from stylepress.benchmarks.machine.record import differing
from stylepress.benchmarks.report import Latency, Model, Report, mean_of, read_report
from stylepress.benchmarks.timing.interval import separate_ratio
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement, Settings, Side
from stylepress.benchmarks.verdict.holm import least_pairs
from stylepress.benchmarks.verdict.judgements import judgement, reasons_of
from stylepress.benchmarks.verdict.rule import ALPHA, DELTA, Paired, Rule, Verdict, together
from stylepress.benchmarks.verdict.trial import Key, decide

MORE_IS_WORSE: Mapping[str, bool] = {
    "style_distance": True,
    "content_distance": True,
    "grid_energy": True,
    "psnr_db": False,
    "ssim": False,
}


def compare_files(
    base: Path,
    new: Path,
    *,
    max_regression_percent: float = 100 * DELTA,
    vary: Collection[str] = (),
) -> Comparison:
    """Compare two ``report.json`` files.

    Raises:
        ArtifactError: one of them is no report.
        RecipeError: a threshold that is no percentage above zero.
    """
    return compare(
        read_report(base),
        read_report(new),
        max_regression_percent=max_regression_percent,
        vary=vary,
    )


def compare(
    base: Report,
    new: Report,
    *,
    max_regression_percent: float = 100 * DELTA,
    vary: Collection[str] = (),
) -> Comparison:
    """Set two reports side by side.

    Times that were measured apart are never judged: between two sessions a machine differs by more
    than most changes do. When the machine fields agree and the newer report holds the older bundle
    too (``stylepress bench OLD NEW``), both were measured in turns, and their rounds are judged as
    pairs; when the machine disturbed them, they stay open. Fields of machine or scenario that
    differ are named, and then nothing is shown; those of the machine that are meant to differ are
    named in ``vary``, and then nothing is judged.
    """
    rule = Rule(max_regression_percent / 100, min(0.01, max_regression_percent / 200))
    apart = _differing(base, new, vary)
    both = None if apart or vary else _both_inside(base, new)
    if both is None:
        judgements = () if apart else tuple(_trend(base, new))
        sides = _side(base.of_role("bundle")), _side(new.of_role("bundle"))
    else:
        judgements = tuple(_judged(new, both, rule))
        sides = _side(both[:1]), _side(both[1:])
    counted = [one.verdict for one in judgements if one.gated and one.verdict is not None]
    return Comparison(
        tool=f"stylepress {__version__}",
        created=new.created,
        mode="trend" if both is None else "rounds",
        base=sides[0],
        new=sides[1],
        verdict="NOT COMPARABLE" if apart else together(counted) if both else "TREND",
        reasons=reasons_of(judgements),
        settings=None if both is None else _settings(new, rule),
        machine=new.machine,
        judgements=judgements,
        differing=apart,
    )


def _differing(base: Report, new: Report, vary: Collection[str]) -> dict[str, tuple[Any, Any]]:
    """Fields of machine and scenario that must agree and do not; and bundles without partner."""
    found = {
        f"machine.{name}": values
        for name, values in differing(base.machine, new.machine, vary=vary).items()
    }
    one, two = (report.scenario.model_dump(mode="json") for report in (base, new))
    found |= {
        f"scenario.{name}": (value, two[name]) for name, value in one.items() if value != two[name]
    }
    mine, theirs = ([model.name for model in each.of_role("bundle")] for each in (base, new))
    if not set(mine) & set(theirs):
        found["bundles"] = (mine, theirs)
    return found


def _both_inside(base: Report, new: Report) -> tuple[Model, Model] | None:
    """Return the base's bundle as the new report measured it, and the one other bundle there."""
    olds = base.of_role("bundle")
    if len(olds) != 1:
        return None
    again = [model for model in new.of_role("bundle") if model.digest == olds[0].digest]
    others = [model for model in new.of_role("bundle") if model.digest != olds[0].digest]
    enough = new.scenario.rounds >= least_pairs(1, ALPHA)
    return (again[0], others[0]) if again and len(others) == 1 and enough else None


def _judged(report: Report, both: tuple[Model, Model], rule: Rule) -> Iterator[Judgement]:
    """Judge two bundles of one report: rounds as pairs, size and pictures as they are."""
    times = [
        {one.backend: one.timing.round_medians_ms for one in _latencies(report, model)}
        for model in both
    ]
    figures: dict[Key, Paired] = {
        (backend, "p50"): Paired(old, times[1][backend], rule)
        for backend, old in times[0].items()
        if backend in times[1]
    }

    def source(part: str, keys: Sequence[Key], pairs: int) -> Mapping[Key, Paired]:
        return {key: figures[key] for key in keys}

    rounds = report.scenario.rounds
    decided = decide(source, list(figures), pairs=rounds, extend=False, confirm=False)
    disturbed = "; ".join(report.validity.reasons) if report.validity else ""
    for key, made in decided.items():
        one = judgement(key, made, gated=True)
        open_ = {"verdict": "INCONCLUSIVE", "note": f"the rounds do not count: {disturbed}"}
        yield one.model_copy(update=open_) if disturbed else one
    old, new = both
    yield _exact("size", "all files", "MB", (old.size_bytes / 1e6, new.size_bytes / 1e6), rule)
    for measure, more_is_worse in MORE_IS_WORSE.items():
        pair = (
            mean_of(report.qualities, old.name, measure),
            mean_of(report.qualities, new.name, measure),
        )
        if pair[0] is not None and pair[1] is not None:
            yield _exact(
                "pictures",
                _spoken(measure),
                _unit(measure),
                (pair[0], pair[1]),
                rule,
                more_is_worse=more_is_worse,
            )


def _trend(base: Report, new: Report) -> Iterator[Judgement]:
    """Show what both reports hold, unjudged."""
    known = {latency.name: latency for latency in base.latencies}
    for latency in new.latencies:
        before = known.get(latency.name)
        if before is not None:
            yield _drift(before, latency)
    theirs = {model.name: model for model in new.of_role("bundle")}
    for model in base.of_role("bundle"):
        other = theirs.get(model.name)
        if other is None:
            continue
        sizes = model.size_bytes / 1e6, other.size_bytes / 1e6
        yield _exact(model.name, "all files", "MB", sizes, None)
        for measure, more_is_worse in MORE_IS_WORSE.items():
            before_mean = mean_of(base.qualities, model.name, measure)
            after_mean = mean_of(new.qualities, model.name, measure)
            if before_mean is not None and after_mean is not None:
                yield _exact(
                    model.name,
                    _spoken(measure),
                    _unit(measure),
                    (before_mean, after_mean),
                    None,
                    more_is_worse=more_is_worse,
                )


def _drift(before: Latency, after: Latency) -> Judgement:
    """One latency of two sessions; the interval is of what the sessions' rounds vary by."""
    ratio = separate_ratio(before.timing.round_medians_ms, after.timing.round_medians_ms)
    return Judgement(
        subject=after.name,
        metric="latency p50",
        unit="ms",
        kind="trend",
        base=before.median_ms,
        new=after.median_ms,
        worse=ratio.value,
        low=ratio.low,
        high=ratio.high,
        confidence=ratio.confidence,
        pairs=None,
        note="baseline, measured apart" if after.baseline else "measured apart",
    )


def _exact(
    subject: str,
    metric: str,
    unit: str,
    pair: tuple[float, float],
    rule: Rule | None,
    *,
    more_is_worse: bool = True,
) -> Judgement:
    """One figure that does not vary; without a rule it is shown and not judged."""
    base, new = pair
    change = (new - base if more_is_worse else base - new) / abs(base) if base else math.inf
    if new == base:
        change = 0.0
    verdict: Verdict = "FAIL" if rule is not None and change > rule.delta else "PASS"
    return Judgement(
        subject=subject,
        metric=metric,
        unit=unit,
        kind="trend" if rule is None else "exact" if subject == "size" else "quality",
        base=base,
        new=new,
        larger_is_worse=more_is_worse,
        worse=1 + change if math.isfinite(change) else None,
        delta=None if rule is None else rule.delta,
        gated=rule is not None,
        verdict=None if rule is None else verdict,
    )


def _latencies(report: Report, model: Model) -> list[Latency]:
    return [one for one in report.latencies if one.model == model.name and not one.baseline]


def _spoken(measure: str) -> str:
    return measure.removesuffix("_db").replace("_", " ")


def _unit(measure: str) -> str:
    return "dB" if measure.endswith("_db") else ""


def _side(models: Sequence[Model]) -> Side:
    return Side(
        name=" + ".join(model.name for model in models),
        digest=" + ".join(model.digest for model in models),
        precision=" + ".join(dict.fromkeys(model.precision for model in models)),
        size_bytes=sum(model.size_bytes for model in models),
        weights_bytes=sum(model.weights_bytes for model in models),
    )


def _settings(report: Report, rule: Rule) -> Settings:
    scenario = report.scenario
    return Settings(
        height=scenario.height,
        width=scenario.width,
        threads=scenario.threads,
        backends=tuple(dict.fromkeys(one.backend for one in report.latencies if one.model)),
        pairs=scenario.rounds,
        looks=((scenario.rounds, ALPHA),),
        confirm=False,
        delta=rule.delta,
        gated=("p50",),
        floor_source="assumed",
        seed=0,
        min_s=scenario.turn_s,
        min_count=1,
        warm_s=0,
        warm_count=scenario.warm_up,
        rest_s=0,
        photos=scenario.photos,
        style=scenario.style,
    )

"""Two reports that were measured apart: what each figure was then and is now, unjudged."""

from __future__ import annotations

from collections.abc import Iterator

from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.report import Latency, Report
from stylepress.benchmarks.report_figures import Figure, report_figures
from stylepress.benchmarks.timing.interval import separate_ratio
from stylepress.benchmarks.verdict.comparison import Judgement


def latency_trends(base: Report, new: Report) -> Iterator[Judgement]:
    """Show every latency that both hold; its interval is of what the sessions' rounds vary by."""
    known = {latency.name: latency for latency in base.latencies}
    for after in new.latencies:
        before = known.get(after.name)
        if before is not None:
            yield _latency(before, after)


def figure_trends(base: Report, new: Report) -> Iterator[Judgement]:
    """Show every other figure that both hold, where it was measured over the same."""
    for before, after in _both(base, new):
        if before.of == after.of:
            yield _figure(before, after)


def measured_otherwise(base: Report, new: Report) -> Iterator[Skipped]:
    """Name the figures that both hold and that cannot be compared, and why."""
    for before, after in _both(base, new):
        if before.of != after.of:
            why = f"measured over {before.of} then, and over {after.of} now"
            yield Skipped(what=after.name, why=why)


def _both(base: Report, new: Report) -> Iterator[tuple[Figure, Figure]]:
    known = {one.name: one for one in report_figures(base)}
    for after in report_figures(new):
        if after.name in known:
            yield known[after.name], after


def _latency(before: Latency, after: Latency) -> Judgement:
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


def _figure(before: Figure, after: Figure) -> Judgement:
    better, worse = before.value, after.value
    if not after.smaller_is_better:
        better, worse = worse, better
    return Judgement(
        subject=after.subject,
        metric=after.metric,
        unit=after.unit,
        kind="trend",
        base=before.value,
        new=after.value,
        larger_is_worse=after.smaller_is_better,
        worse=worse / better if better > 0 else None,
        note="measured apart",
    )

"""What a report measured, as one list of figures: tables, trends and dashboards are made of it."""

from __future__ import annotations

from collections.abc import Iterator

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Report, against
from stylepress.benchmarks.verdict.comparison import Comparison

ELSEWHERE = ("drift_psnr", "drift_ssim")
"""Figures of a study that a report's pictures have too."""
SETS = ("", "drift_percent", "drift_benign_times")
"""Those that are distances between sets."""


def figures(report: Report) -> Iterator[Check]:
    """Yield latency, size, quality, drift, motion, start, memory and scenarios of a report.

    Scenarios that do not count are left out, and what has no value.
    """
    for latency in report.latencies:
        if latency.model is not None:
            yield _figure(latency.name, "latency p50", latency.median_ms, "ms")
            yield _figure(latency.name, "latency p90", latency.p90_ms, "ms")
    for model in report.of_role("bundle"):
        yield _figure(model.name, "weights", model.weights_bytes / 1e6, "MB")
    yield from report.looks
    for drift in report.drifts:
        yield from _drift(drift)
    yield from report.steadiness
    yield from report.starts
    for scene in report.scenes:
        if not scene.doubts:
            yield from (*scene.figures, *scene.energies)


def gated(document: Report | Comparison) -> tuple[Check, ...]:
    """Return what the verdict of a document rests on; the subject says which model it is of."""
    if isinstance(document, Comparison):
        return document.gated
    return tuple(
        check.model_copy(update={"subject": against(drift.compressed, drift.original)})
        for drift in document.drifts
        for check in drift.checks
        if check.verdict is not None
    )


def _figure(subject: str, metric: str, value: float | None, unit: str) -> Check:
    return Check(subject=subject, metric=metric, unit=unit, new=value)


def _drift(drift: Drift) -> Iterator[Check]:
    subject = against(drift.compressed, drift.original)
    fact = drift.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    for check in drift.checks:
        if check.new is None or check.key.startswith(ELSEWHERE):
            continue
        figure = _figure(subject, check.metric, abs(check.new), check.unit)
        facts = {"of": over if check.key in SETS else drift.sample}
        if check.key == "drift_percent":  # of either sign, and nearer is a change too
            facts["metric"] = f"{check.metric}, size"
            facts["of"] = f"{over}, {drift.references} of references"
            yield figure.model_copy(update=facts)
        else:
            yield figure.model_copy(update={**facts, "low": check.low, "high": check.high})

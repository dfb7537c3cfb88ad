"""What a report measured, as one list of figures: tables, trends and dashboards are made of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.quality.study import Drift
from stylepress.benchmarks.report import Report, against
from stylepress.benchmarks.show.words import NONE, Table, amount
from stylepress.benchmarks.verdict.comparison import Comparison

ELSEWHERE = ("drift_psnr", "drift_ssim")
"""Figures of a study that a report's pictures have too."""
SETS = ("", "drift_percent", "drift_benign_times")
"""Those that are distances between sets."""
MEGABYTE = 1e6


def figures(report: Report) -> Iterator[Check]:
    """Yield latency, size, quality, drift, motion, start, memory and scenarios of a report.

    Scenarios that do not count are left out, and what has no value.
    """
    for latency in report.latencies:
        if latency.model is not None:
            yield _figure(latency.name, "latency p50", latency.median_ms, "ms")
            yield _figure(latency.name, "latency p90", latency.p90_ms, "ms")
    for model in report.of_role("bundle"):
        yield _figure(model.name, "weights", model.weights_bytes / MEGABYTE, "MB")
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


def pivot(title: str, checks: Iterable[Check], *, first: str) -> Table:
    """Lay figures out with a row a subject and a column a metric; a dash, or why there is none."""
    cells: dict[str, dict[str, str]] = {}
    for check in checks:
        text = (check.note or NONE) if check.new is None else amount(check.new, check.unit)
        cells.setdefault(check.subject, {})[check.metric] = text
    every = dict.fromkeys(metric for row in cells.values() for metric in row)
    metrics = [name for name in every if any(row.get(name, NONE) != NONE for row in cells.values())]
    rows = [[who, *(row.get(name, NONE) for name in metrics)] for who, row in cells.items()]
    return Table(title, [first, *metrics], rows if metrics else [])


def checks_table(title: str, checks: Sequence[Check], *, value: str = "new") -> Table:
    """Lay out checks a row each: what matters comes first, as a phone shows four columns."""
    several = len({check.subject for check in checks}) > 1
    rows = [
        [
            check.name if several else check.metric,
            signed(check.verdict) if check.verdict else NONE,
            check.change or NONE,
            check.written(check.new),
            check.limit_text or NONE,
            check.written(check.base),
            check.interval or NONE,
            check.remark or NONE,
        ]
        for check in checks
    ]
    heads = ["figure", "verdict", "worse by", value, "limit", "base", "95 % interval", "remark"]
    return Table(title, heads, rows).filled


def _figure(
    subject: str, metric: str, value: float | None, unit: str = "", **facts: object
) -> Check:
    known = {"subject": subject, "metric": metric, "unit": unit, "new": value}
    return Check.model_validate({**known, **facts})


def _drift(drift: Drift) -> Iterator[Check]:
    subject = against(drift.compressed, drift.original)
    fact = drift.extractor
    over = f"{fact.name} {fact.sha256[:12]} ({fact.layer}, {fact.preprocessing}), {drift.sample}"
    for check in drift.checks:
        if check.new is None or check.key.startswith(ELSEWHERE):
            continue
        metric, ends = check.metric, {"low": check.low, "high": check.high}
        of = over if check.key in SETS else drift.sample
        if check.key == "drift_percent":  # of either sign, and nearer is a change too
            metric, ends = f"{metric}, size", {}
            of = f"{over}, {drift.references} of references"
        yield _figure(subject, metric, abs(check.new), check.unit, of=of, **ends)

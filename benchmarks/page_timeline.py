"""How the rounds went over time, and below them what the machine did: inline SVG on one axis."""

from __future__ import annotations

from collections.abc import Iterator

from stylepress.benchmarks.page_curves import Line, TimeAxis, plot, sensor_plots
from stylepress.benchmarks.report import Latency, Report


def timeline(report: Report) -> Iterator[str]:
    """Draw each system's rounds, and every sensor that was read meanwhile."""
    rounds = [each for each in report.latencies if each.model and each.rounds_at_s]
    if not rounds:
        return
    curves = report.curves
    ends = [max(each.rounds_at_s) for each in rounds]
    last = max([*ends, *(curves.at_s[-1:] if curves else ())], default=0) or 1.0
    yield "<section><h2>Meanwhile: rounds and machine over time</h2>"
    lines = {each.name: _relative(each) for each in rounds}
    axis = TimeAxis(last)
    yield plot("rounds, over the median of their system", "x", lines, axis, usual=1.0)
    if curves:
        yield from sensor_plots(curves, axis)
    yield (
        f"<p>All on one axis of {last:.0f} s. A dot is one round, drawn where it began: how many "
        "times as long it took as its system usually does, which is the line. "
        "Processor: the share of all cores that this program and others used.</p></section>"
    )


def _relative(latency: Latency) -> Line:
    medians = latency.timing.round_medians_ms
    return [
        (at, value / latency.median_ms)
        for at, value in zip(latency.rounds_at_s, medians, strict=True)
    ]

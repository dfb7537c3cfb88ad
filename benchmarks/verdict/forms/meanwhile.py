"""The whole session over time: when which arm ran, and below it what the machine did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from html import escape

from stylepress.benchmarks.page_curves import Span, TimeAxis, sensor_plots
from stylepress.benchmarks.verdict.comparison import Comparison, Run
from stylepress.benchmarks.verdict.forms.plots import arm_keys
from stylepress.benchmarks.verdict.measures import p50_ms
from stylepress.benchmarks.verdict.order import Arm

ROW, GAP, TOP = 18, 6, 24
ROWS: tuple[Arm, ...] = ("base", "new")


def meanwhile(comparison: Comparison) -> Iterator[str]:
    """Draw the runs of both arms and every sensor that was read; nothing where no time is known."""
    spans = [(run, _span(run)) for run in comparison.runs]
    known = [(run, span) for run, span in spans if span is not None]
    if not known:
        return
    axis = TimeAxis(max(span.end_s for _, span in known) or 1.0)
    void = [Span(span.begin_s, span.end_s, "shade") for run, span in known if run.invalid]
    yield "<section><h2>The session over time</h2>"
    yield _lanes(known, axis, void)
    if comparison.curves is not None:
        yield from sensor_plots(comparison.curves, axis, behind=void)
    yield (
        f"<p>All on one axis of {axis.last_s:.0f} s; a bar is one process, from its start to its "
        "end. Processor: the share of all cores that this program, both arms included, and others "
        "used.</p>"
    )
    reasons = Counter(reason for run, _ in known for reason in run.invalid)
    if reasons:
        items = "".join(
            f"<li>{count} {'run' if count == 1 else 'runs'}: {escape(reason)}</li>"
            for reason, count in reasons.most_common()
        )
        yield f"<h3>Runs that do not count, each with the other one of its pair</h3><ul>{items}</ul>"
    yield "</section>"


def _lanes(known: list[tuple[Run, Span]], axis: TimeAxis, void: list[Span]) -> str:
    height = TOP + 2 * (ROW + GAP)
    parts = [axis.rect(span, top=TOP - 4, height=height - TOP + 4) for span in void]
    parts += [
        axis.rect(span, top=TOP + ROWS.index(run.arm) * (ROW + GAP), height=ROW)
        for run, span in known
    ]
    return (
        f'<svg class="time" role="img" width="100%" height="{height}" aria-label="runs over time">'
        f'<text class="tick" x="6" y="14">runs</text>'
        f'<text class="tick" x="100%" dx="-6" y="14" text-anchor="end">0 to {axis.last_s:.3g} s'
        f"</text>{''.join(parts)}</svg>{arm_keys(void='does not count' if void else '')}"
    )


def _span(run: Run) -> Span | None:
    if run.began_s is None or run.ended_s is None:
        return None
    note = f", does not count: {'; '.join(run.invalid)}" if run.invalid else ""
    title = f"run {run.place}, {run.arm}, {run.backend}, {run.part}: {p50_ms(run):.4g} ms{note}"
    return Span(run.began_s, run.ended_s, "void" if run.invalid else run.arm, title)

"""All plots, as inline SVG: they fill the width there is, and their letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.report import Latency, Report
from stylepress.benchmarks.show.words import milliseconds
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.runs import Arm, Run, p50_ms

STRIP_HEIGHT, CURVE_HEIGHT, RUNS_HEIGHT, TIME_HEIGHT = 136, 236, 200, 104
BAR, BAR_STEP, LANE, LANE_STEP = 18, 42, 18, 24
LINE, FOOT, TOP, BOTTOM = 14, 10, 22, 16
"""Height of a line of small text; how far the lowest one, and a curve, stand off the edges."""
ROOM = 28.0
"""Percent of the width that a name beside its line needs: 87 pixels of the 310 of a phone."""
POINTS, COLOURS = 400, 8
"""Steps of a distribution curve: more than a screen can tell apart. Curves of one plot."""
ARMS: tuple[Arm, ...] = ("base", "new")
COOLING = "slowed down to cool"
KINDS: Mapping[str, tuple[str, float, str]] = {
    "load": ("processor", 100, "%"),
    "_mhz": ("clock", 1, "MHz"),
    "_c": ("temperature", 1, "°C"),
    "_w": ("power", 1, "W"),
    "_bytes": ("memory", 1e-6, "MB"),
    "cooling": (COOLING, 1, "steps"),
}
"""By how a sensor's name ends (or begins): what it is, what its values are times, their unit."""
SPOKEN: Mapping[str, str] = {"own": "this program", "tree": "this program, all its processes"}
"""Sensors whose name is not what a reader would call them."""
FROM_ZERO = ("%", "MB", "W", "steps")
"""Units whose axis begins at 0: a curve of a tenth of a percent must not look like a cliff."""

Line = Sequence[tuple[float, float | None]]
"""Times in seconds, and what was read there; None breaks the line."""


@dataclass(frozen=True, slots=True)
class Axis:
    """A horizontal scale from ``low`` to ``high``, in percent of the width; ``free`` at both ends."""

    low: float
    high: float
    log: bool = False
    free: float = 4

    def place(self, value: float) -> float:
        """Return where a value stands, in percent."""
        low, high, value = (
            (math.log(each) if self.log else each) for each in (self.low, self.high, value)
        )
        share = (value - low) / (high - low) if high > low else 0.5
        return self.free + (100 - 2 * self.free) * min(1.0, max(0.0, share))


@dataclass(frozen=True, slots=True)
class Beside:
    """Where an upright line has its name: ``left`` or right of it, in which ``row`` of text.

    The line begins in that row too.
    """

    left: bool
    row: int = 0


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something went on, in seconds; ``look`` is its CSS class."""

    begin_s: float
    end_s: float
    look: str
    title: str = ""


def beside(equal: float, limit: float) -> tuple[Beside, Beside]:
    """Say where the names of two upright lines stand, so that nothing overlaps; in percent.

    ``equal`` is left of ``limit``. Each name stands outside the pair. One that has no room there
    turns inwards, and the other line with its name begins a row lower.

    >>> beside(4, 8), beside(90, 96)[0]
    ((Beside(left=False, row=0), Beside(left=False, row=1)), Beside(left=True, row=1))
    """
    turned = equal < ROOM, limit > 100 - ROOM
    alone = turned[0] != turned[1]
    return (
        Beside(left=not turned[0], row=int(alone and turned[1])),
        Beside(left=turned[1], row=int(alone and turned[0])),
    )


def bars(latencies: Sequence[Latency]) -> str:
    """Draw the median of each system as a bar, with a thin line over its rounds."""
    slowest = max(max(each.timing.round_medians_ms) for each in latencies)
    parts = []
    for number, latency in enumerate(latencies):
        medians, top = latency.timing.round_medians_ms, number * BAR_STEP
        width, low, high = (
            100 * value / slowest for value in (latency.median_ms, min(medians), max(medians))
        )
        kind, middle = "baseline" if latency.baseline else "own", top + 16 + BAR / 2
        parts.append(
            f'<text x="0" y="{top + 12}">{escape(latency.name)}'
            f'<tspan class="value" dx="8">{milliseconds(latency.median_ms)}</tspan></text>'
            f'<rect class="{kind}" x="0" y="{top + 16}" width="{max(width, 0.2):.2f}%" '
            f'height="{BAR}" rx="3"/>'
            f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}"/>'
        )
    return _svg("bars of the medians in the table below", BAR_STEP * len(parts), parts, "bars")


def strip(one: Check) -> str:
    """Draw every paired ratio as a dot, the estimate with its interval, 1 and the limit.

    To the right is worse.
    """
    worse = [n / b if one.larger_is_worse else b / n for b, n in one.values]
    limit = 1 + (one.limit or 0)
    ends = [*worse, 1.0, limit, one.low or 1.0, one.high or 1.0]
    axis = Axis(min(ends), max(ends), log=True)
    places = axis.place(1.0), axis.place(limit)
    first, second = beside(*places)
    parts = [_rule(places[0], "equal", "same", first)]
    if one.limit:
        parts.append(_rule(places[1], f"limit +{100 * one.limit:g} %", "limit", second))
    for index, ratio in enumerate(worse):
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        title = f"pair {index + 1}: {100 * (ratio - 1):+.2f} %"
        parts.append(_dot(axis.place(ratio), 40 + 12 * (index % 4), "new", title))
    if one.worse is not None:
        low, high = one.low or one.worse, one.high or one.worse
        y = STRIP_HEIGHT - 42
        parts.append(
            f'<line class="span" x1="{axis.place(low):.2f}%" x2="{axis.place(high):.2f}%" '
            f'y1="{y}" y2="{y}"/><rect class="point" x="{axis.place(one.worse):.2f}%" '
            f'y="{y - 7}" width="3" height="14"/>'
        )
    parts += _ends(axis, STRIP_HEIGHT - FOOT, lambda value: f"{100 * (value - 1):+.1f} %")
    parts.append(_text("50%", STRIP_HEIGHT - FOOT, "new is worse →", "middle"))
    return _svg(f"{one.name}, pair by pair: new is worse by {one.change}", STRIP_HEIGHT, parts)


def distributions(runs: Sequence[Run], title: str) -> str:
    """Draw which share of all calls was faster than a time, one curve an arm; time is logarithmic.

    The axis ends where 99.5 % of the slower arm lie; few calls take many times as long.
    """
    arms = {
        arm: np.sort([ns / 1e6 for run in runs if run.arm == arm for ns in run.samples_ns])
        for arm in ARMS
    }
    if not all(len(values) for values in arms.values()):
        return ""
    low = min(float(values[0]) for values in arms.values())
    high = max(float(np.quantile(values, 0.995)) for values in arms.values())
    axis = Axis(low, max(high, 1.0001 * low), log=True)
    inner = CURVE_HEIGHT - 40
    parts = [
        f'<line class="grid" x1="4%" x2="96%" y1="{y}" y2="{y}"/>{_text("96%", y + 12, label, "end")}'
        for y, label in ((8 + inner * 0.1, "90 %"), (8 + inner * 0.5, "half"))
    ]
    curves = []
    for arm, values in arms.items():
        shares = np.linspace(0, 1, min(POINTS, len(values)))
        places = [axis.place(float(value)) for value in np.quantile(values, shares)]
        curves.append((arm, [(x, 1 - share) for x, share in zip(places, shares, strict=True)]))
    parts.append(_curves(curves, top=8, height=inner))
    parts += _ends(axis, CURVE_HEIGHT - FOOT, lambda value: f"{value:.3g} ms")
    parts.append(_text("50%", CURVE_HEIGHT - FOOT, "slower →", "middle"))
    return _svg(f"distribution of {title}", CURVE_HEIGHT, parts) + keys({a: a for a in ARMS})


def in_order(runs: Sequence[Run], title: str) -> str:
    """Draw the median of every run in the order they were made: drift shows as a slope."""
    ordered = sorted(runs, key=lambda run: run.place)
    values = [p50_ms(run) for run in ordered]
    if not values:
        return ""
    inner, scale = RUNS_HEIGHT - 62, Axis(min(values), max(values), log=True, free=0)
    axis = Axis(0, max(1, len(values) - 1))
    parts = []
    for index, (run, value) in enumerate(zip(ordered, values, strict=True)):
        note = f", discarded: {'; '.join(run.invalid)}" if run.invalid else ""
        y = 30 + inner * (1 - scale.place(value) / 100)
        words = f"run {run.place}, {run.arm}, {run.part}: {value:.4g} ms{note}"
        parts.append(_dot(axis.place(index), y, "void" if run.invalid else run.arm, words))
    parts += [
        _text("4%", LINE, f"height: {min(values):.3g} to {max(values):.3g} ms"),
        _text("4%", RUNS_HEIGHT - FOOT, "first run"),
        _text("96%", RUNS_HEIGHT - FOOT, "last run", "end"),
    ]
    void = {"void": "discarded"} if any(run.invalid for run in ordered) else {}
    legend = keys({arm: arm for arm in ARMS} | void)
    return _svg(f"runs in order, {title}", RUNS_HEIGHT, parts) + legend


def session(comparison: Comparison) -> Iterator[str]:
    """Draw the runs of both arms over time, and every sensor that was read; nothing without times."""
    known = [(run, span) for run in comparison.runs if (span := _span(run)) is not None]
    if not known:
        return
    axis = Axis(0, max(span.end_s for _, span in known) or 1.0, free=1)
    void = [Span(span.begin_s, span.end_s, "shade") for run, span in known if run.invalid]
    height = LANE_STEP * 3
    parts = [_rect(axis, span, LANE_STEP - 4, height - LANE_STEP + 4) for span in void]
    parts += [_rect(axis, span, LANE_STEP * (1 + ARMS.index(run.arm)), LANE) for run, span in known]
    parts += [_text("6", LINE, "runs"), _text("100%", LINE, f"0 to {axis.high:.3g} s", "end", -6)]
    marks = {arm: arm for arm in ARMS} | ({"void": "does not count"} if void else {})
    yield _svg("runs over time", height, parts, "time") + keys(marks)
    if comparison.curves is not None:
        yield from sensors(comparison.curves, axis, behind=void)


def timeline(report: Report) -> Iterator[str]:
    """Draw each system's rounds over its median, and every sensor that was read meanwhile."""
    rounds = [each for each in report.latencies if each.model and each.rounds_at_s]
    if not rounds:
        return
    ends = [max(each.rounds_at_s) for each in rounds]
    last = max([*ends, *(report.curves.at_s[-1:] if report.curves else ())]) or 1.0
    axis = Axis(0, last, free=1)
    lines = {
        each.name: [
            (at, value / each.median_ms)
            for at, value in zip(each.rounds_at_s, each.timing.round_medians_ms, strict=True)
        ]
        for each in rounds
    }
    yield _plot("rounds, over the median of their system", "x", lines, axis, usual=1.0)
    if report.curves:
        yield from sensors(report.curves, axis)


def sensors(curves: Curves, axis: Axis, *, behind: Sequence[Span] = ()) -> Iterator[str]:
    """Draw every kind of sensor that was read: load, clocks, temperatures, power, memory."""
    for mark, (title, factor, unit) in KINDS.items():
        lines: dict[str, Line] = {}
        for name, values in curves.values.items():
            if name.endswith(mark) or name.startswith(f"{mark}."):
                shown = name.removesuffix(mark).removeprefix(f"{mark}.").removeprefix(f"{title}.")
                lines[SPOKEN.get(shown, shown)] = [
                    (at, None if value is None else factor * value)
                    for at, value in zip(curves.at_s, values, strict=True)
                ]
        read = [value for line in lines.values() for _, value in line if value is not None]
        if any(read) if title == COOLING else read:
            yield _plot(title, unit, lines, axis, behind=behind)


def keys(marks: Mapping[str, str]) -> str:
    """Say which colour is what, by CSS class."""
    spans = "".join(f'<span class="{mark}">{escape(name)}</span>' for mark, name in marks.items())
    return f'<div class="keys">{spans}</div>'


def _plot(
    title: str,
    unit: str,
    lines: Mapping[str, Line],
    axis: Axis,
    *,
    usual: float | None = None,
    behind: Sequence[Span] = (),
) -> str:
    """Draw curves over time; dots instead about a line where there is a ``usual`` value."""
    shown = {
        name: [(axis.place(at), value) for at, value in line if 0 <= at <= axis.high]
        for name, line in lines.items()
    }
    every = [v for line in shown.values() for _, v in line if v is not None] or [0.0]
    low, high = min(every), max(every)
    low = min(low, 0.0) if unit in FROM_ZERO else low
    spread, floor = high - low or 1.0, TIME_HEIGHT - BOTTOM

    def down(value: float) -> float:
        return (high - value) / spread

    def level(value: float) -> float:
        return TOP + 4 + down(value) * (floor - TOP - 8)

    base = floor if usual is None else level(usual)
    span = f"{_written(low)} to {_written(high)} {unit}"
    parts = [
        _text("6", LINE, title),
        _text("100%", LINE, span, "end", -6),
        f'<line x1="0" x2="100%" y1="{base:.1f}" y2="{base:.1f}"/>',
        *(_rect(axis, one, TOP, floor - TOP) for one in behind),
    ]
    colours = {name: f"k{number % COLOURS}" for number, name in enumerate(shown)}
    if usual is None:
        curves = [
            (colours[name], [(x, None if v is None else down(v)) for x, v in line])
            for name, line in shown.items()
        ]
        parts.append(_curves(curves, top=TOP, height=floor - TOP))
    else:
        parts += [
            _dot(x, level(v), colours[name], "", radius=3.5)
            for name, line in shown.items()
            for x, v in line
            if v is not None
        ]
    label = f"{title} over time, {span}"
    return _svg(label, TIME_HEIGHT, parts, "time") + keys({c: n for n, c in colours.items()})


def _curves(
    lines: Sequence[tuple[str, Sequence[tuple[float, float | None]]]], *, top: float, height: float
) -> str:
    """Draw lines that break where a read failed, stretched to the width there is.

    Points are x in percent and y from the top, 0..1.
    """
    drawn = []
    for kind, points in lines:
        pieces: list[list[str]] = [[]]
        for x, y in points:
            if y is None:
                pieces.append([])
            else:
                pieces[-1].append(f"{x:.2f},{100 * y:.2f}")
        drawn += [f'<polyline class="{kind}" points="{" ".join(p)}"/>' for p in pieces if p]
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{"".join(drawn)}</svg>'
    )


def _span(run: Run) -> Span | None:
    if run.began_s is None or run.ended_s is None:
        return None
    note = f", does not count: {'; '.join(run.invalid)}" if run.invalid else ""
    title = f"run {run.place}, {run.arm}, {run.subject}, {run.part}: {p50_ms(run):.4g} ms{note}"
    return Span(run.began_s, run.ended_s, "void" if run.invalid else run.arm, title)


def _rect(axis: Axis, span: Span, top: float, height: float) -> str:
    begin, end = axis.place(span.begin_s), axis.place(span.end_s)
    title = f"<title>{escape(span.title)}</title>" if span.title else ""
    return (
        f'<rect class="{span.look}" x="{begin:.2f}%" width="{max(end - begin, 0.15):.2f}%" '
        f'y="{top:g}" height="{height:g}">{title}</rect>'
    )


def _dot(x: float, y: float, kind: str, title: str, *, radius: float = 4) -> str:
    words = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{kind}" cx="{x:.2f}%" cy="{y:.1f}" r="{radius:g}">{words}</circle>'


def _rule(place: float, label: str, kind: str, where: Beside) -> str:
    """Draw an upright line with its name beside it."""
    anchor, shift = ("end", -5) if where.left else ("start", 5)
    top = LINE * where.row
    return (
        f'<line class="{kind}" x1="{place:.2f}%" x2="{place:.2f}%" y1="{top + 4}" '
        f'y2="{STRIP_HEIGHT - 34}"/>{_text(f"{place:.2f}%", top + LINE, label, anchor, shift)}'
    )


def _text(x: str, y: float, words: str, anchor: str = "start", shift: int = 0) -> str:
    return (
        f'<text class="tick" x="{x}" dx="{shift}" y="{y:g}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _ends(axis: Axis, y: float, write: Callable[[float], str]) -> list[str]:
    return [_text("4%", y, write(axis.low)), _text("96%", y, write(axis.high), "end")]


def _written(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _svg(label: str, height: float, parts: Sequence[str], kind: str = "plot") -> str:
    return (
        f'<svg class="{kind}" role="img" width="100%" height="{height:g}" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )

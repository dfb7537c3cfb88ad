"""All plots, as inline SVG: they fill the width there is, and their letters keep their size."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import NamedTuple

import numpy as np

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.timeline import Curves
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.runs import Arm, Run, p50_ms

STRIP_HEIGHT, CURVE_HEIGHT, TIME_HEIGHT = 136, 236, 104
LINE, FOOT, TOP, BOTTOM = 14, 10, 22, 16
"""Height of a line of small text; how far the lowest one, and a curve, stand off the edges."""
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
"""Places, and what was read there; None breaks the line."""


class Dot(NamedTuple):
    """One value at a time in seconds, its CSS class, and what a reader sees who points at it."""

    at_s: float
    value: float
    kind: str
    title: str


class Axis(NamedTuple):
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


def strip(check: Check) -> str:
    """Draw every paired ratio as a dot, the estimate with its interval, 1 and the limit.

    To the right is worse.
    """
    worse = [n / b if check.larger_is_worse else b / n for b, n in check.values]
    limit = 1 + (check.limit or 0)
    ends = [*worse, 1.0, limit, check.low or 1.0, check.high or 1.0]
    axis = Axis(min(ends), max(ends), log=True)
    parts = [_rule(axis.place(1.0), "equal", "same", LINE)]
    if check.limit:
        name = f"limit +{100 * check.limit:g} %"
        parts.append(_rule(axis.place(limit), name, "limit", 2 * LINE))
    for index, ratio in enumerate(worse):
        # Rows of a fixed pattern part the dots that stand on each other, the same on every draw.
        title = f"pair {index + 1}: {100 * (ratio - 1):+.2f} %"
        parts.append(_dot(axis.place(ratio), 44 + 12 * (index % 4), "new", title))
    if check.worse is not None:
        low, high = check.low or check.worse, check.high or check.worse
        y = STRIP_HEIGHT - 38
        parts.append(
            f'<line class="span" x1="{axis.place(low):.2f}%" x2="{axis.place(high):.2f}%" '
            f'y1="{y}" y2="{y}"/><rect class="point" x="{axis.place(check.worse):.2f}%" '
            f'y="{y - 7}" width="3" height="14"/>'
        )
    parts += _ends(axis, STRIP_HEIGHT - FOOT, lambda value: f"{100 * (value - 1):+.1f} %")
    parts.append(_text("50%", STRIP_HEIGHT - FOOT, "new is worse →", "middle"))
    return _svg(f"{check.name}, pair by pair: new is worse by {check.change}", STRIP_HEIGHT, parts)


def _rule(place: float, label: str, kind: str, y: int) -> str:
    """Draw an upright line with its name beside it, on the side that has room for it."""
    anchor, shift = ("end", -5) if place > 50 else ("start", 5)
    return (
        f'<line class="{kind}" x1="{place:.2f}%" x2="{place:.2f}%" y1="{y - 10}" '
        f'y2="{STRIP_HEIGHT - 30}"/>{_text(f"{place:.2f}%", y, label, anchor, shift)}'
    )


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
    curves: dict[str, Line] = {}
    for arm, values in arms.items():
        shares = np.linspace(0, 1, min(POINTS, len(values)))
        places = [axis.place(float(value)) for value in np.quantile(values, shares)]
        curves[arm] = [(x, 1 - share) for x, share in zip(places, shares, strict=True)]
    parts.append(_curves(curves, top=8, height=inner))
    parts += _ends(axis, CURVE_HEIGHT - FOOT, lambda value: f"{value:.3g} ms")
    parts.append(_text("50%", CURVE_HEIGHT - FOOT, "slower →", "middle"))
    return _svg(f"distribution of {title}", CURVE_HEIGHT, parts) + keys({a: a for a in ARMS})


def session(comparison: Comparison) -> Iterator[str]:
    """Draw the median of every run of both arms over time, and every sensor that was read."""
    runs = [run for run in comparison.runs if run.ended_s is not None]
    axis = Axis(0, max((run.ended_s or 0 for run in runs), default=0) or 1.0, free=1)
    for subject in dict.fromkeys(run.subject for run in runs):
        own = [run for run in runs if run.subject == subject]
        dots = [
            Dot(
                run.began_s or 0, p50_ms(run), "void" if run.invalid else run.arm,
                f"run {run.place}, {run.arm}, {run.part}: {p50_ms(run):.4g} ms"
                + (f", does not count: {'; '.join(run.invalid)}" if run.invalid else ""),
            )
            for run in own
        ]  # fmt: skip
        marks: dict[str, str] = {arm: arm for arm in ARMS}
        marks |= {"void": "does not count"} if any(run.invalid for run in own) else {}
        yield _plot(f"{subject}, median of each run", "ms", {}, axis, dots=dots) + keys(marks)
    if runs and comparison.curves is not None:
        yield from sensors(comparison.curves, axis)


def timeline(report: Report) -> Iterator[str]:
    """Draw each system's rounds over its median, and every sensor that was read meanwhile."""
    rounds = [each for each in report.latencies if each.model and each.rounds_at_s]
    if not rounds:
        return
    ends = [max(each.rounds_at_s) for each in rounds]
    last = max([*ends, *(report.curves.at_s[-1:] if report.curves else ())]) or 1.0
    axis = Axis(0, last, free=1)
    marks = {f"k{number % COLOURS}": each.name for number, each in enumerate(rounds)}
    dots = [
        Dot(at, value / each.median_ms, kind, "")
        for kind, each in zip(marks, rounds, strict=False)
        for at, value in zip(each.rounds_at_s, each.timing.round_medians_ms, strict=True)
    ]
    title = "rounds, over the median of their system"
    yield _plot(title, "x", {}, axis, dots=dots, usual=1.0) + keys(marks)
    if report.curves:
        yield from sensors(report.curves, axis)


def sensors(curves: Curves, axis: Axis) -> Iterator[str]:
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
            marks = {f"k{number % COLOURS}": name for number, name in enumerate(lines)}
            coloured = dict(zip(marks, lines.values(), strict=False))
            yield _plot(title, unit, coloured, axis) + keys(marks)


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
    dots: Sequence[Dot] = (),
    usual: float | None = None,
) -> str:
    """Draw curves and dots over time, by CSS class; with a line at the ``usual`` value."""
    every = [v for line in lines.values() for _, v in line if v is not None]
    every += [dot.value for dot in dots] or ([] if every else [0.0])
    low, high = min(every), max(every)
    low = min(low, 0.0) if unit in FROM_ZERO else low
    spread, floor = high - low or 1.0, TIME_HEIGHT - BOTTOM

    def level(value: float) -> float:
        return TOP + 4 + (high - value) / spread * (floor - TOP - 8)

    base = floor if usual is None else level(usual)
    span = f"{_written(low)} to {_written(high)} {unit}"
    curves = {
        kind: [
            (axis.place(at), None if value is None else (high - value) / spread)
            for at, value in line
            if 0 <= at <= axis.high
        ]
        for kind, line in lines.items()
    }
    parts = [
        _text("6", LINE, title),
        _text("100%", LINE, span, "end", -6),
        f'<line x1="0" x2="100%" y1="{base:.1f}" y2="{base:.1f}"/>',
        _curves(curves, top=TOP, height=floor - TOP),
        *(_dot(axis.place(dot.at_s), level(dot.value), dot.kind, dot.title) for dot in dots),
    ]
    return _svg(f"{title} over time, {span}", TIME_HEIGHT, parts, "time")


def _curves(lines: Mapping[str, Line], *, top: float, height: float) -> str:
    """Draw lines that break where a read failed, stretched to the width there is.

    Points are x in percent and y from the top, 0..1.
    """
    drawn = []
    for kind, points in lines.items():
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


def _dot(x: float, y: float, kind: str, title: str) -> str:
    words = f"<title>{escape(title)}</title>" if title else ""
    return f'<circle class="{kind}" cx="{x:.2f}%" cy="{y:.1f}" r="3.5">{words}</circle>'


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

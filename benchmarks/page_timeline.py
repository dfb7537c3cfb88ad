"""How the rounds went over time, and below them what the machine did: inline SVG on one axis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape

from stylepress.benchmarks.report import Latency, Report

HEIGHT, TOP, BOTTOM = 104, 22, 16
COLOURS = 6
KINDS: Mapping[str, tuple[str, float, str]] = {
    "load": ("processor", 100, "%"),
    "_mhz": ("clock", 1, "MHz"),
    "_c": ("temperature", 1, "°C"),
    "_w": ("power", 1, "W"),
    "_bytes": ("memory", 1e-6, "MB"),
}
"""By how a sensor's name ends (or begins): what it is, what its values are times, their unit."""

Line = Sequence[tuple[float, float | None]]


def timeline(report: Report) -> Iterator[str]:
    """Draw each system's rounds, and every sensor that was read meanwhile."""
    rounds = [each for each in report.latencies if each.model and each.rounds_at_s]
    if not rounds:
        return
    curves = report.curves
    ends = [max(each.rounds_at_s) for each in rounds]
    last = max([*ends, *(curves.at_s[-1:] if curves else ())], default=0) or 1.0
    yield "<section><h2>Meanwhile</h2>"
    lines = {each.name: _relative(each) for each in rounds}
    yield _plot("each round's median against its system's", "x", lines, last, dots=True)
    for title, unit, sensors in _kinds(report):
        yield _plot(title, unit, sensors, last)
    yield (
        f"<p>All on one axis of {last:.0f} s. A round is drawn where it began. "
        "Processor: the share of all cores that this program and others used.</p></section>"
    )


def _relative(latency: Latency) -> Line:
    medians = latency.timing.round_medians_ms
    return [
        (at, value / latency.median_ms)
        for at, value in zip(latency.rounds_at_s, medians, strict=True)
    ]


def _kinds(report: Report) -> Iterator[tuple[str, str, dict[str, Line]]]:
    curves = report.curves
    for mark, (title, factor, unit) in KINDS.items():
        sensors: dict[str, Line] = {}
        for name, values in curves.values.items() if curves else ():
            if curves and (name.endswith(mark) or name.startswith(f"{mark}.")):
                shown = name.removesuffix(mark).removeprefix(f"{mark}.").removeprefix(f"{title}.")
                sensors[shown] = [
                    (at, None if value is None else factor * value)
                    for at, value in zip(curves.at_s, values, strict=True)
                ]
        if any(value is not None for line in sensors.values() for _, value in line):
            yield title, unit, sensors


def _plot(
    title: str, unit: str, lines: Mapping[str, Line], last: float, *, dots: bool = False
) -> str:
    every = [value for line in lines.values() for _, value in line if value is not None]
    low, high = min(every), max(every)
    low = min(low, 0.0) if unit == "%" else low
    spread = high - low or 1.0
    floor = HEIGHT - BOTTOM
    drawn = []
    for number, line in enumerate(lines.values()):
        colour = f"k{number % COLOURS}"
        points = [
            (100 * at / last, None if value is None else (high - value) / spread)
            for at, value in line
            if 0 <= at <= last
        ]
        drawn.append(_dots(points, colour, floor) if dots else _curve(points, colour, floor))
    keys = "".join(
        f'<span class="k{number % COLOURS}">{escape(name)}</span>'
        for number, name in enumerate(lines)
    )
    return (
        f'<svg class="time" role="img" width="100%" height="{HEIGHT}" '
        f'aria-label="{escape(title)} over time">'
        f'<text class="tick" x="6" y="14">{escape(title)}</text>'
        f'<text class="tick" x="100%" dx="-6" y="14" text-anchor="end">'
        f"{low:.3g} to {high:.3g} {unit}</text>"
        f'<line x1="0" x2="100%" y1="{floor}" y2="{floor}"/>{"".join(drawn)}</svg>'
        f'<div class="keys">{keys}</div>'
    )


def _dots(points: Sequence[tuple[float, float | None]], colour: str, floor: int) -> str:
    return "".join(
        f'<circle class="{colour}" cx="{1 + 0.98 * x:.2f}%" '
        f'cy="{TOP + 4 + y * (floor - TOP - 8):.1f}" r="3.5"/>'
        for x, y in points
        if y is not None
    )


def _curve(points: Sequence[tuple[float, float | None]], colour: str, floor: int) -> str:
    """Draw a line that breaks where a read failed, stretched to the width there is."""
    pieces: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{1 + 0.98 * x:.2f},{100 * y:.1f}")
    lines = "".join(
        f'<polyline class="{colour}" points="{" ".join(piece)}"/>' for piece in pieces if piece
    )
    return (
        f'<svg x="0" y="{TOP}" width="100%" height="{floor - TOP}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{lines}</svg>'
    )

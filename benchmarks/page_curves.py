"""What happened over time, as inline SVG on one axis: sensors, dots, and spans of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from stylepress.benchmarks.machine.timeline import Curves

HEIGHT, TOP, BOTTOM = 104, 22, 16
COLOURS = 8
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
SAID: Mapping[str, str] = {"own": "this program", "tree": "this program, all its processes"}
"""Sensors whose name is not what a reader would call them."""
FROM_ZERO = ("%", "MB", "W", "steps")
"""Units whose axis begins at 0: a curve of a tenth of a percent must not look like a cliff."""

Line = Sequence[tuple[float, float | None]]
"""Times in seconds, and what was seen there; None breaks the line."""


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when something went on, in seconds; ``look`` is its CSS class."""

    begin_s: float
    end_s: float
    look: str
    title: str = ""


@dataclass(frozen=True, slots=True)
class TimeAxis:
    """``last_s`` seconds over the width there is; one percent stays free at both ends."""

    last_s: float

    def place(self, at_s: float) -> float:
        """Return where a time stands, in percent."""
        return 1 + 98 * min(1.0, max(0.0, at_s / self.last_s))

    def rect(self, span: Span, *, top: float, height: float) -> str:
        """Draw a span of time, its title where a pointer rests."""
        begin, end = self.place(span.begin_s), self.place(span.end_s)
        title = f"<title>{escape(span.title)}</title>" if span.title else ""
        return (
            f'<rect class="{span.look}" x="{begin:.2f}%" width="{max(end - begin, 0.15):.2f}%" '
            f'y="{top:g}" height="{height:g}">{title}</rect>'
        )


def sensor_plots(curves: Curves, axis: TimeAxis, *, behind: Sequence[Span] = ()) -> Iterator[str]:
    """Draw every kind of sensor that was read: load, clocks, temperatures, power, memory."""
    for mark, (title, factor, unit) in KINDS.items():
        lines: dict[str, Line] = {}
        for name, values in curves.values.items():
            if name.endswith(mark) or name.startswith(f"{mark}."):
                shown = name.removesuffix(mark).removeprefix(f"{mark}.").removeprefix(f"{title}.")
                lines[SAID.get(shown, shown)] = [
                    (at, None if value is None else factor * value)
                    for at, value in zip(curves.at_s, values, strict=True)
                ]
        read = [value for line in lines.values() for _, value in line if value is not None]
        if any(read) if title == COOLING else read:
            yield plot(title, unit, lines, axis, behind=behind)


def plot(
    title: str,
    unit: str,
    lines: Mapping[str, Line],
    axis: TimeAxis,
    *,
    usual: float | None = None,
    behind: Sequence[Span] = (),
) -> str:
    """Draw curves over time; dots instead about a line where there is a ``usual`` value.

    What lies ``behind`` is drawn over the whole height.
    """
    every = [
        value
        for line in lines.values()
        for at, value in line
        if value is not None and 0 <= at <= axis.last_s
    ] or [0.0]
    low, high = min(every), max(every)
    low = min(low, 0.0) if unit in FROM_ZERO else low
    spread = high - low or 1.0
    floor = HEIGHT - BOTTOM
    drawn = [axis.rect(span, top=TOP, height=floor - TOP) for span in behind]
    for number, line in enumerate(lines.values()):
        colour = f"k{number % COLOURS}"
        points = [
            (axis.place(at), None if value is None else (high - value) / spread)
            for at, value in line
            if 0 <= at <= axis.last_s
        ]
        drawn.append(
            _curve(points, colour, floor) if usual is None else _dots(points, colour, floor)
        )
    level = floor if usual is None else _level((high - usual) / spread, floor)
    keys = "".join(
        f'<span class="k{number % COLOURS}">{escape(name)}</span>'
        for number, name in enumerate(lines)
    )
    return (
        f'<svg class="time" role="img" width="100%" height="{HEIGHT}" '
        f'aria-label="{escape(title)} over time, {_written(low)} to {_written(high)} {unit}">'
        f'<text class="tick" x="6" y="14">{escape(title)}</text>'
        f'<text class="tick" x="100%" dx="-6" y="14" text-anchor="end">'
        f"{_written(low)} to {_written(high)} {unit}</text>"
        f'<line x1="0" x2="100%" y1="{level:.1f}" y2="{level:.1f}"/>{"".join(drawn)}</svg>'
        f'<div class="keys">{keys}</div>'
    )


def _written(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _dots(points: Sequence[tuple[float, float | None]], colour: str, floor: int) -> str:
    return "".join(
        f'<circle class="{colour}" cx="{x:.2f}%" cy="{_level(y, floor):.1f}" r="3.5"/>'
        for x, y in points
        if y is not None
    )


def _level(y: float, floor: int) -> float:
    """Return where a dot is drawn whose value lies ``y`` of the way down, 0..1."""
    return TOP + 4 + y * (floor - TOP - 8)


def _curve(points: Sequence[tuple[float, float | None]], colour: str, floor: int) -> str:
    """Draw a line that breaks where a read failed, stretched to the width there is."""
    pieces: list[list[str]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append(f"{x:.2f},{100 * y:.1f}")
    lines = "".join(
        f'<polyline class="{colour}" points="{" ".join(piece)}"/>' for piece in pieces if piece
    )
    return (
        f'<svg x="0" y="{TOP}" width="100%" height="{floor - TOP}" viewBox="0 0 100 100" '
        f'preserveAspectRatio="none">{lines}</svg>'
    )

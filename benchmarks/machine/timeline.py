"""What the sensors said while something ran, and what follows from it: energy, gross and net.

An on-board sensor is no wall meter: it sees its rails, and neither the power supply nor the rest.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.sensors import INA3221, RAPL, total_rails

Point = tuple[int, float]
"""A time in ns of the machine's monotonic clock, and a value."""
Sample = tuple[int, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when something ran, in ns of the machine's monotonic clock."""

    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9

    def __contains__(self, when_ns: int) -> bool:
        return self.begin_ns <= when_ns <= self.end_ns


@dataclass(frozen=True, slots=True)
class Timeline:
    """Values of all sensors by time, those that were read; ``missing`` says why one never is."""

    samples: tuple[Sample, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def names(self, before: str = "") -> list[str]:
        found = {name for _, values in self.samples for name in values}
        return sorted(name for name in found if name.startswith(before))

    def within(self, window: Window) -> Timeline:
        """Return the samples inside a window, and one before and after it where there are."""
        first = bisect_left(self.samples, window.begin_ns, key=itemgetter(0))
        last = bisect_right(self.samples, window.end_ns, key=itemgetter(0))
        return Timeline(self.samples[max(0, first - 1) : last + 1], self.missing)

    def series(self, name: str, window: Window | None = None) -> list[Point]:
        return [
            (at, values[name])
            for at, values in self.samples
            if name in values and (window is None or at in window)
        ]

    def at(self, name: str, when_ns: int) -> float | None:
        """Return a sensor's value at a time, on the line between the reads around it."""
        points = self.series(name)
        if not points or not points[0][0] <= when_ns <= points[-1][0]:
            return None
        times, values = zip(*points, strict=True)
        return float(np.interp(when_ns, times, values))

    def growth(self, name: str, window: Window) -> float | None:
        """Return by how much a counter grew in a window; None when not read before and after it."""
        first, last = self.at(name, window.begin_ns), self.at(name, window.end_ns)
        return None if first is None or last is None else last - first

    def peak(self, name: str, window: Window) -> float | None:
        return max((value for _, value in self.series(name, window)), default=None)

    def integral(self, name: str, window: Window) -> float | None:
        """Return the integral over a window in seconds; None when not read before and after it."""
        first, last = self.at(name, window.begin_ns), self.at(name, window.end_ns)
        if first is None or last is None:
            return None
        points = [(window.begin_ns, first), *self.series(name, window), (window.end_ns, last)]
        return sum(
            (after - before) / 1e9 * (low + high) / 2
            for (before, low), (after, high) in pairwise(points)
        )


class Follower:
    """Reads a sampler's file while it grows, each line once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._missing: Mapping[str, str] | None = None
        self._samples: list[Sample] = []

    def timeline(self) -> Timeline:
        """Return all samples until now; a last line that is cut off is left for the next time."""
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        records = list(map(json.loads, whole.splitlines()))
        if records and self._missing is None:
            self._missing = records.pop(0)["missing"]
        self._samples += [(int(when_ns), values) for when_ns, values in records]
        if self._missing is None:
            return Timeline((), {"sampler": "it wrote nothing"})
        return Timeline(tuple(self._samples), self._missing)


class Source(NamedTuple):
    """What energy is read of: sensors by how their names begin and end.

    ``reader`` is the name under which the sampler says why it is missing. What ``counts`` is a sum
    of joules, else it is power.
    """

    name: str
    reader: str
    before: str
    after: str
    counts: bool

    def sensors(self, timeline: Timeline) -> dict[str, str]:
        """Return the sensors of what is summed, by rail."""
        names = [name for name in timeline.names(self.before) if name.endswith(self.after)]
        shown = "" if self.before == "gpu" else self.before
        rails = {name.removeprefix(shown).removesuffix(self.after): name for name in names}
        return {rail: rails[rail] for rail in total_rails(rails)}


SOURCES = (
    Source("nvml counter", "nvml", "gpu", ".energy_j", counts=True),
    Source("nvml power", "nvml", "gpu", ".power_w", counts=False),
    Source("ina3221", "ina3221", INA3221, "_w", counts=False),
    Source("rapl", "rapl", RAPL, "_j", counts=True),
)
GROSS, NET = "energy a frame, gross", "energy a frame, net"
LEAST_S, LONG_S = 5.0, 6.0
"""Windows that are shorter are not believed; one of the latter holds enough updates of a counter that
is renewed ten times a second."""
LEAST_UPDATES = 50
"""A counter renewed every 0.1 s reads 0 in a short window, and is off by a step in any."""
LEAST_HZ = 10.0 * 0.9
"""Reads a second of a power sensor; a tenth less than asked for, as reads are never on time."""


def readable(timeline: Timeline) -> bool:
    return any(source.sensors(timeline) for source in SOURCES)


def energies(
    timeline: Timeline,
    window: Window,
    *,
    frames: int,
    idle: Sequence[Window] = (),
    subject: str = "",
) -> tuple[Check, ...]:
    """Return the energy of a frame by every source, each with its own figures or why there is none.

    Power is integrated by trapezoids. Idle is the mean power while nothing ran, the lower of before
    and after, as a GPU keeps its clocks high for a while; net is gross without it. ``of`` is what was
    summed. What runs in the window must be over at its end.
    """
    return tuple(
        Check(
            subject=subject,
            metric=f"{metric}, {source.name}",
            unit=unit,
            new=value,
            of=of,
            note=note,
        )
        for source in SOURCES
        for metric, unit, value, of, note in _counted(source, timeline, window, frames, idle)
    )


def _counted(
    source: Source, timeline: Timeline, window: Window, frames: int, idle: Sequence[Window]
) -> Iterator[tuple[str, str, float | None, str, str]]:
    sensors = source.sensors(timeline)

    def joules(when: Window) -> float | None:
        near = timeline.within(when)
        take = near.growth if source.counts else near.integral
        known = [take(sensor, when) for sensor in sensors.values()]
        return None if None in known else sum(value or 0.0 for value in known)

    why = timeline.missing.get(source.reader, "the sensor gives no such value")
    if sensors:
        series = [timeline.series(sensor, window) for sensor in sensors.values()]
        why = _doubt(series, window, counts=source.counts)
    gross = None if why else joules(window)
    if gross is None:
        unread = "the sensor was not read both before and after the window"
        yield GROSS, "J", None, "", why or unread
        return
    rails, count = ", ".join(sensors), frames or math.nan
    quiet = [drawn / one.seconds for one in idle if (drawn := joules(one)) is not None]
    yield GROSS, "J", gross / count, rails, ""
    if quiet:
        yield NET, "J", (gross - min(quiet) * window.seconds) / count, rails, ""
        yield "idle power", "W", min(quiet), rails, ""
    yield "mean power", "W", gross / window.seconds, rails, ""


def _doubt(series: Sequence[Sequence[Point]], window: Window, *, counts: bool) -> str:
    """Say why sensors are not believed in a window; nothing where they are."""
    if window.seconds < LEAST_S:
        return f"the window of {window.seconds:.1f} s is shorter than {LEAST_S:g} s"
    if counts:
        updates = min(len({value for _, value in points}) for points in series)
        few = f"the counter was renewed {updates} times in the window, it needs {LEAST_UPDATES}"
        return few if updates < LEAST_UPDATES else ""
    rate_hz = min(map(len, series)) / window.seconds
    slow = f"the sensor was read {rate_hz:.1f} times a second, it needs 10"
    return slow if rate_hz < LEAST_HZ else ""

"""What the sensors said while something ran, and what follows from it by arithmetic."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

Point = tuple[int, float]
"""A time in ns of the machine's monotonic clock, and a value."""


@dataclass(frozen=True, slots=True)
class Window:
    """From when to when something ran, in ns of the machine's monotonic clock."""

    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        return (self.end_ns - self.begin_ns) / 1e9


@dataclass(frozen=True, slots=True)
class Timeline:
    """Values of all sensors by time; one that failed once is missing there.

    ``missing`` says why a sensor is not there at all.
    """

    samples: tuple[tuple[int, Mapping[str, float]], ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def names(self, before: str = "") -> list[str]:
        found = {name for _, values in self.samples for name in values}
        return sorted(name for name in found if name.startswith(before))

    def within(self, window: Window) -> Timeline:
        """Return the samples inside a window, and one before and after it where there are."""
        first = bisect_left(self.samples, window.begin_ns, key=_time)
        last = bisect_right(self.samples, window.end_ns, key=_time)
        return Timeline(self.samples[max(0, first - 1) : last + 1], self.missing)

    def count(self, window: Window) -> int:
        return sum(window.begin_ns <= at <= window.end_ns for at, _ in self.samples)

    def series(self, name: str, window: Window | None = None) -> list[Point]:
        return [
            (at, values[name])
            for at, values in self.samples
            if name in values and (window is None or window.begin_ns <= at <= window.end_ns)
        ]

    def at(self, name: str, when_ns: int) -> float | None:
        """Return a sensor's value at a time, on the line between the reads around it."""
        points = self.series(name)
        if not points or not points[0][0] <= when_ns <= points[-1][0]:
            return None
        times, values = zip(*points, strict=True)
        return float(np.interp(when_ns, times, values))

    def growth(self, name: str, window: Window) -> float | None:
        """Return by how much a counter grew in a window, interpolated at its ends.

        None when the counter was not read both before and after it.
        """
        first, last = self.at(name, window.begin_ns), self.at(name, window.end_ns)
        return None if first is None or last is None else last - first

    def peak(self, name: str, window: Window) -> float | None:
        return max((value for _, value in self.series(name, window)), default=None)

    def integral(self, name: str, window: Window) -> float | None:
        """Return the integral over a window in seconds, by trapezoids.

        None when the sensor was not read both before and after the window.
        """
        first, last = self.at(name, window.begin_ns), self.at(name, window.end_ns)
        if first is None or last is None:
            return None
        points = [(window.begin_ns, first), *self.series(name, window), (window.end_ns, last)]
        return sum(
            (after - before) / 1e9 * (low + high) / 2
            for (before, low), (after, high) in pairwise(points)
        )


def _time(sample: tuple[int, Mapping[str, float]]) -> int:
    return sample[0]


class Follower:
    """Reads a sampler's file while it grows, each line once."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._read_bytes = 0
        self._missing: Mapping[str, str] | None = None
        self._samples: list[tuple[int, Mapping[str, float]]] = []

    def timeline(self) -> Timeline:
        """Return all samples until now; a last line that is cut off is left for the next time."""
        with self.path.open("rb") as file:
            file.seek(self._read_bytes)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read_bytes += len(whole)
        for line in whole.splitlines():
            record = json.loads(line)
            if self._missing is None:
                self._missing = record["missing"]
            else:
                self._samples.append((int(record[0]), record[1]))
        if self._missing is None:
            return Timeline((), {"sampler": "it wrote nothing"})
        return Timeline(tuple(self._samples), self._missing)

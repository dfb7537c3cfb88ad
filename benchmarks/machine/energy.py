"""Energy from the sensors on board: gross, and net of what the machine draws when idle.

An on-board sensor is no wall meter: it sees its rails, and neither the power supply nor the rest.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.sensors import INA3221, RAPL, total_rails
from stylepress.benchmarks.machine.timeline import Timeline, Window

Source = Literal["nvml counter", "nvml power", "ina3221", "rapl"]
SENSORS: Mapping[Source, str] = {
    "nvml counter": "nvml",
    "nvml power": "nvml",
    "ina3221": "ina3221",
    "rapl": "rapl",
}
"""Under which name the sampler says why a source is missing."""
COUNTERS: Sequence[Source] = ("nvml counter", "rapl")
GROSS, NET = "energy a frame, gross", "energy a frame, net"
LEAST_S, LONG_S = 5.0, 6.0
"""Windows that are shorter are not believed; one of the latter holds enough updates of a counter that
is renewed ten times a second."""
LEAST_UPDATES = 50
"""A counter renewed every 0.1 s reads 0 in a short window, and is off by a step in any."""
LEAST_HZ = 10.0 * 0.9
"""Reads a second of a power sensor; a tenth less than asked for, as reads are never on time."""


def readable(timeline: Timeline) -> bool:
    return any(_sensors(source, timeline) for source in SENSORS)


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
    summed. What runs in the window must be over at its end: wait for a GPU before you read the clock.
    """
    return tuple(
        Check(subject=subject, metric=f"{metric}, {source}", unit=unit, new=value, of=of, note=note)
        for source in SENSORS
        for metric, unit, value, of, note in _counted(source, timeline, window, frames, idle)
    )


def _counted(
    source: Source, timeline: Timeline, window: Window, frames: int, idle: Sequence[Window]
) -> Iterator[tuple[str, str, float | None, str, str]]:
    sensors = _sensors(source, timeline)

    def joules(when: Window) -> float | None:
        near = timeline.within(when)
        take = near.growth if source in COUNTERS else near.integral
        known = [take(sensor, when) for sensor in sensors.values()]
        return None if None in known else sum(value or 0.0 for value in known)

    why = timeline.missing.get(SENSORS[source], "the sensor gives no such value")
    if sensors:
        series = [timeline.series(sensor, window) for sensor in sensors.values()]
        why = _doubt(series, window, counts=source in COUNTERS)
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


def _sensors(source: Source, timeline: Timeline) -> dict[str, str]:
    """Return the sensors of what is summed, by rail."""
    before, after = {
        "nvml counter": ("gpu", ".energy_j"),
        "nvml power": ("gpu", ".power_w"),
        "ina3221": (INA3221, "_w"),
        "rapl": (RAPL, "_j"),
    }[source]
    names = [name for name in timeline.names(before) if name.endswith(after)]
    shown = "" if before == "gpu" else before
    rails = {name.removeprefix(shown).removesuffix(after): name for name in names}
    return {rail: rails[rail] for rail in total_rails(rails)} if source == "ina3221" else rails


def _doubt(series: Sequence[Sequence[tuple[int, float]]], window: Window, *, counts: bool) -> str:
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

"""Energy from the sensors on board: gross, and net of what the machine draws when idle.

An on-board sensor is no wall meter: it sees its rails, and neither the power supply nor the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from stylepress.benchmarks.machine.power import INA3221, RAPL, total_rails
from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.part import Part

Source = Literal["nvml counter", "nvml power", "ina3221", "rapl"]
When = Literal["before", "after"]
SENSORS: Mapping[Source, str] = {
    "nvml counter": "nvml",
    "nvml power": "nvml",
    "ina3221": "ina3221",
    "rapl": "rapl",
}
"""Under which name the sampler says why a source is missing."""
COUNTERS: Sequence[Source] = ("nvml counter", "rapl")
LEAST_S = 5.0
LEAST_UPDATES = 50
"""A counter renewed every 0.1 s reads 0 in a short window, and is off by a step in any."""
LONGEST_S = 30.0
"""A counter that would need longer is not waited for."""
MARGIN = 1.2
LEAST_HZ = 10.0 * 0.9
"""Reads a second of a power sensor; a tenth less than asked for, as reads are never on time."""


class Energy(Part):
    """What one source counted in a window, in joules; None with the reason in ``why``.

    ``rails`` are what was summed. ``updates`` are different values seen of a counter, or reads of a
    power sensor, which are integrated by trapezoids. ``idle_w`` is the mean power while nothing
    ran, the lower of before and after (``idle_when``), as a GPU keeps its clocks high for a while;
    ``net_j`` is gross without it, None where idle is unknown.
    """

    source: Source
    rails: tuple[str, ...] = ()
    window_s: float
    updates: int = 0
    frames: int
    gross_j: float | None = None
    idle_w: float | None = None
    idle_when: When | None = None
    net_j: float | None = None
    why: str | None = None

    @property
    def mean_w(self) -> float | None:
        """Mean power in the window."""
        return None if self.gross_j is None else self.gross_j / self.window_s

    def per_frame(self) -> tuple[float | None, float | None]:
        """Return joules a frame, gross and net."""
        gross, net = (
            None if joules is None or not self.frames else joules / self.frames
            for joules in (self.gross_j, self.net_j)
        )
        return gross, net


def readable(timeline: Timeline) -> bool:
    """Say whether there is a sensor of energy or power at all."""
    return any(next(_names(source, timeline), None) is not None for source in SENSORS)


def enough_s(timeline: Timeline, rest: Sequence[Window]) -> float:
    """Return how long a run must be for its energy to be believed, from how it is read at rest.

    A counter of which ten new values a second are seen needs more than five seconds for fifty. One
    that would need more than ``LONGEST_S`` is not waited for; 0 where there is no sensor.
    """
    if not readable(timeline):
        return 0.0
    watched, needed = sum(one.seconds for one in rest), [LEAST_S]
    sensors = (sensor for source in COUNTERS for _, sensor in _names(source, timeline))
    for sensor in sensors:
        seen = sum(_updates(timeline, sensor, one, distinct=True) for one in rest)
        if seen:
            needed.append(LEAST_UPDATES * watched / seen)
    return max(MARGIN * one for one in needed if MARGIN * one <= LONGEST_S)


def why_unread(timeline: Timeline) -> str:
    """Say why no sensor of energy or power can be read here."""
    reasons: dict[str, list[str]] = {}
    for name in dict.fromkeys(SENSORS.values()):
        reasons.setdefault(timeline.missing.get(name, "it gives no value"), []).append(name)
    return "; ".join(f"{', '.join(names)}: {why}" for why, names in reasons.items())


def energies(
    timeline: Timeline, window: Window, *, frames: int, idle: Sequence[Window] = ()
) -> tuple[Energy, ...]:
    """Return what every source counted, each with its own figures or the reason for none.

    What runs in the window must be over at its end: wait for a GPU before you read the clock.
    """
    return tuple(_counted(source, timeline, window, frames, idle) for source in SENSORS)


def _counted(
    source: Source, timeline: Timeline, window: Window, frames: int, idle: Sequence[Window]
) -> Energy:
    named = dict(_names(source, timeline))
    bare = Energy(source=source, rails=tuple(named), window_s=window.seconds, frames=frames)
    if not named:
        why = timeline.missing.get(SENSORS[source], "the sensor gives no such value")
        return bare.model_copy(update={"why": why})
    counts, sensors = source in COUNTERS, named.values()
    updates = min(_updates(timeline, sensor, window, distinct=counts) for sensor in sensors)

    def joules(when: Window) -> float | None:
        near = timeline.within(when)
        take = near.growth if counts else near.integral
        known = [take(sensor, when) for sensor in sensors]
        return None if None in known else sum(value or 0.0 for value in known)

    gross = joules(window)
    doubt = _too_short(window, updates, counts=counts)
    if gross is None or doubt is not None:
        unread = "the sensor was not read both before and after the window"
        return bare.model_copy(update={"updates": updates, "why": doubt or unread})
    found: dict[str, float | str | None] = {"updates": updates, "gross_j": gross}
    quiet = [
        (drawn / one.seconds, "before" if one.end_ns <= window.begin_ns else "after")
        for one in idle
        if (drawn := joules(one)) is not None and one.seconds
    ]
    if quiet:
        idle_w, when = min(quiet)
        net = gross - idle_w * window.seconds
        found |= {"idle_w": idle_w, "idle_when": when, "net_j": net}
    return bare.model_copy(update=found)


def _names(source: Source, timeline: Timeline) -> Iterator[tuple[str, str]]:
    """Yield (rail, sensor) of what is summed."""
    if source == "ina3221":
        rails = {
            name.removeprefix(INA3221).removesuffix("_w"): name for name in timeline.names(INA3221)
        }
        yield from ((rail, rails[rail]) for rail in total_rails(rails))
    elif source == "rapl":
        for name in timeline.names(RAPL):
            yield name.removeprefix(RAPL).removesuffix("_j"), name
    else:
        ending = ".energy_j" if source == "nvml counter" else ".power_w"
        for name in timeline.names("gpu"):
            if name.endswith(ending):
                yield name.removesuffix(ending), name


def _updates(timeline: Timeline, sensor: str, window: Window, *, distinct: bool) -> int:
    values = [value for _, value in timeline.series(sensor, window)]
    return len(set(values)) if distinct else len(values)


def _too_short(window: Window, updates: int, *, counts: bool) -> str | None:
    if window.seconds < LEAST_S:
        return f"the window of {window.seconds:.1f} s is shorter than {LEAST_S:g} s"
    if counts and updates < LEAST_UPDATES:
        return f"the counter was renewed {updates} times in the window, it needs {LEAST_UPDATES}"
    if not counts and updates < LEAST_HZ * window.seconds:
        return f"the sensor was read {updates / window.seconds:.1f} times a second, it needs 10"
    return None

"""Watch the machine while something runs, and say whether what ran there counts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import reduce
from operator import or_
from pathlib import Path
from statistics import linear_regression
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from stylepress.benchmarks.machine.sensors import READY
from stylepress.benchmarks.machine.timeline import Follower, Timeline, Window
from stylepress.benchmarks.part import Part
from stylepress.errors import VerificationError
from stylepress.targets.gpus import POWER_CAPPED, slowed_by

if TYPE_CHECKING:
    from typing_extensions import Self

Kind = Literal[
    "throttled",
    "power capped",
    "power alarm",
    "swapped in",
    "foreign load",
    "foreign GPU process",
    "heating",
]
FOREIGN_LOAD, LEAST_LOAD_S = 0.05, 1.0
"""What others may use of all cores, the host included, or of a GPU on the mean: a share. Of the
processor it is judged in windows so long, as the system counts in ticks of 10 ms."""
SETTLE_S, LEAST_SLOPE_S = 20.0, 10.0
"""Heat is judged after the first seconds of a run, in which every chip gets warm, over so many."""
SLOPE_C, LEAST_RISE_C, CLOCK_FALL = 1.0, 1.0, 0.02
"""How much a temperature may rise in a minute, and at all, which is more than a sensor's own steps. More
spoils a run only where a clock fell meanwhile by this share, or where no clock can be read."""


class Event(Part):
    """Something that happened while a run was measured; most make it worthless."""

    kind: Kind
    what: str
    invalidates: bool = True


class Validity(Part):
    """Whether a run counts, what happened during it, and what could not be watched, and why."""

    ok: bool
    events: tuple[Event, ...]
    samples: int
    foreign_load: float | None = None
    missing: dict[str, str] = Field(default_factory=dict)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(event.what for event in self.events if event.invalidates)


class Watch:
    """The sampler's process, as a context manager; times are those of ``time.perf_counter_ns``."""

    def __init__(
        self, *, period_s: float = 0.1, root: Path = Path("/"), foreign_load: float = FOREIGN_LOAD
    ) -> None:
        """Watch the whole machine, and this process and its children as our own."""
        self.period_s, self.root, self.foreign_load = period_s, root, foreign_load

    def judged(self, window: Window) -> Validity:
        """Say whether what ran in a window that is over counts."""
        self.settle()
        return judge(self.timeline(), window, foreign_load=self.foreign_load)

    def timeline(self) -> Timeline:
        return self._follower.timeline()

    def settle(self) -> None:
        """Wait until one more sample is there, so that what ended now lies inside the timeline."""
        now = time.perf_counter_ns()
        give_up = now + round(1e9 * (10 * self.period_s + 5))
        while time.perf_counter_ns() < give_up:
            samples = self.timeline().samples
            if samples and samples[-1][0] > now:
                return
            time.sleep(self.period_s / 4)

    def __enter__(self) -> Self:
        self._folder = tempfile.TemporaryDirectory(prefix="stylepress-watch-")
        file = Path(self._folder.name) / "samples.jsonl"
        self._follower = Follower(file)
        options = {"pid": os.getpid(), "out": str(file), "period_s": self.period_s}
        asked = json.dumps({**options, "root": str(self.root)})
        command = [sys.executable, "-m", "stylepress.benchmarks.machine.sensors", asked]
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != READY:
            _, said = self._process.communicate()
            self._folder.cleanup()
            raise VerificationError(
                f"The sampler of the machine's sensors did not start: {said.strip()[-300:]}.",
                f"Run `{' '.join(command[1:3])} '{asked}'` with this Python to see more.",
            )
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()  # closes its standard input, which ends it
        self._folder.cleanup()


def judge(timeline: Timeline, window: Window, *, foreign_load: float = FOREIGN_LOAD) -> Validity:
    """Say whether what ran in a window counts; a missing sensor is named, and says neither."""
    timeline = timeline.within(window)
    seen = any(at in window for at, _ in timeline.samples)
    unread = {} if seen else {"sampler": "it read nothing meanwhile"}
    load = load_of_others(timeline, window)
    events = [*_slowed(timeline, window), *_gpu_events(timeline, window, foreign_load)]
    if load is not None and load > foreign_load and window.seconds >= LEAST_LOAD_S:
        what = f"others used {load:.0%} of the processor, more than {foreign_load:.0%}"
        events.append(Event(kind="foreign load", what=what))
    events += _heating(timeline, window)
    return Validity(
        ok=not any(event.invalidates for event in events),
        events=tuple(events),
        samples=len(timeline.series("cpu.busy_s", window)),
        foreign_load=load,
        missing={**timeline.missing, **unread},
    )


def load_of_others(timeline: Timeline, window: Window) -> float | None:
    """Return the share of all cores that neither we nor nobody used, 0..1, stolen time included."""
    busy, own, steal = (
        timeline.growth(name, window) for name in ("cpu.busy_s", "cpu.own_s", "cpu.steal_s")
    )
    cores = timeline.peak("cpu.count", window)
    if busy is None or own is None or steal is None or not cores or not window.seconds:
        return None
    return max(0.0, (busy - own + steal) / (cores * window.seconds))


def _slowed(timeline: Timeline, window: Window) -> Iterator[Event]:
    """Find what slows a machine down: by a state or an alarm meanwhile, or by a count that grew."""
    for name in timeline.names():
        kind, _, what = name.partition(".")
        state = timeline.peak(name, window) if kind in ("cooling", "alarm") else None
        if state and kind == "cooling":
            yield Event(kind="throttled", what=f"{what} slowed the machine down (state {state:g})")
        elif state:
            yield Event(kind="power alarm", what=f"{what} was raised")
        elif name == "throttle.cpu" and (times := _grown(timeline, name)):
            yield Event(kind="throttled", what=f"heat slowed the processor down {times:g} times")
        elif name == "swap.in_bytes" and (swapped := _grown(timeline, name)):
            what = f"{swapped / 1e6:.1f} MB were read back from swap"
            yield Event(kind="swapped in", what=what)
        elif kind == "overcurrent" and (times := _grown(timeline, name)):
            yield Event(kind="throttled", what=f"{name} was counted {times:g} times")


def _gpu_events(timeline: Timeline, window: Window, allowed: float) -> Iterator[Event]:
    for name in timeline.names("gpu"):
        gpu, _, sensor = name.partition(".")
        values = [value for _, value in timeline.series(name, window)] or [0.0]
        most, mean = max(values), sum(values) / len(values)
        # Inside a container the driver may number processes as the host does: then none of ours is
        # ever found, and others cannot be told from them.
        known = bool(timeline.peak(f"{gpu}.own_processes", window))
        if sensor == "clock_events":
            bits = reduce(or_, map(int, values))
            for cause in slowed_by(bits):
                yield Event(kind="throttled", what=f"{gpu}: {cause}")
            if bits & POWER_CAPPED:
                yield Event(kind="power capped", what=f"{gpu} met its limit", invalidates=False)
        elif sensor == "foreign_processes" and most > 0:
            told = f"{gpu} ran {most:g} processes that are not ours"
            yield Event(kind="foreign GPU process", what=told, invalidates=known)
        elif sensor == "foreign_load" and mean > allowed:
            told = f"others used {mean:.0%} of {gpu}, more than {allowed:.0%}"
            yield Event(kind="foreign GPU process", what=told, invalidates=known)


def _heating(timeline: Timeline, window: Window) -> Iterator[Event]:
    """Tell what still gets hotter once a run has settled, and whether that slowed anything down."""
    settled = Window(window.begin_ns + round(1e9 * SETTLE_S), window.end_ns)
    if settled.seconds < LEAST_SLOPE_S:
        return
    fell = _clock_fall(timeline, settled)
    for name in timeline.names():
        if not (name.startswith("temperature.") or name.endswith(".temperature_c")):
            continue
        points = timeline.series(name, settled)
        if len(points) < 2:
            continue
        slope = 1e9 * linear_regression(*zip(*points, strict=True)).slope
        if 60 * slope > SLOPE_C and slope * settled.seconds > LEAST_RISE_C:
            what = name.removeprefix("temperature.").removesuffix("_c")
            what += f" rose by {60 * slope:.1f} °C a minute"
            if fell is not None:
                what += f", and a clock fell by {fell:.0%}" if fell > 0 else ", and no clock fell"
            slowed = fell is None or fell > CLOCK_FALL
            yield Event(kind="heating", what=what, invalidates=slowed)


def _clock_fall(timeline: Timeline, window: Window) -> float | None:
    """Return by which share a clock was lower in the last third than in the first; None: no clock."""
    falls = []
    for name in timeline.names():
        if name.startswith("clock.") or name.endswith(".sm_mhz"):
            values = [value for _, value in timeline.series(name, window)]
            third = max(1, len(values) // 3)
            if values and sum(values[:third]) > 0:
                falls.append(1 - sum(values[-third:]) / sum(values[:third]))
    return max(falls, default=None)


def _grown(timeline: Timeline, name: str) -> float:
    """By how much a counter of events grew between the reads around a window."""
    values = [value for _, value in timeline.series(name)]
    return values[-1] - values[0] if len(values) > 1 else 0.0

"""A scenario of one system under watch: what came out, whether it counts, and what it drew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.resources.energy import LEAST_S, Energy, energies, enough_s, readable
from stylepress.benchmarks.scenarios.clock import WallClock
from stylepress.benchmarks.scenarios.fixed_rate import camera, fixed_rate
from stylepress.benchmarks.scenarios.offline import offline
from stylepress.benchmarks.scenarios.outcome import (
    FixedRate,
    Length,
    Offline,
    Outcome,
    Server,
    Setting,
    SingleStream,
)
from stylepress.benchmarks.scenarios.server import server
from stylepress.benchmarks.scenarios.single_stream import single_stream
from stylepress.benchmarks.scenarios.warm_up import WarmRule
from stylepress.errors import RecipeError

SCENARIOS = ("single-stream", "fixed-rate", "server", "offline")
IDLE_S = 2.0
"""How long nothing runs before and after, where energy can be read: what the machine draws idle."""


class Scene(Part):
    """One scenario of one system: its outcome, and what the machine did from start to end of it."""

    system: str
    outcome: Outcome
    validity: Validity
    energies: tuple[Energy, ...]

    @property
    def title(self) -> str:
        """System and scenario in words."""
        return f"{self.system}, {words(self.outcome.setting)}"

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why it does not count; a scene that counts has none."""
        return (*self.outcome.doubts, *self.validity.reasons)


def setting_named(
    name: str, *, fps: float, rate: float | None, lanes: int | None, cores: int
) -> Setting:
    """Return the setting of a scenario; ``lanes`` None is one, and one a core for ``offline``.

    Raises:
        RecipeError: no such scenario, a server without a rate, or a rate that is none.
    """
    if name not in SCENARIOS:
        raise RecipeError(f"There is no scenario {name!r}. Name one of {', '.join(SCENARIOS)}.")
    if name == "server" and rate is None:
        raise RecipeError("Nobody said how many requests a server gets. Give e.g. `--rate 20`.")
    count = lanes if lanes is not None else cores if name == "offline" else 1
    rate_hz = 1.0 if rate is None else rate
    for option, value in {"--fps": fps, "--rate": rate_hz, "--lanes": count}.items():
        if not 0 < value < 1e6:
            raise RecipeError(f"{option} {value:g} cannot be kept. Give more than 0.")
    if name == "fixed-rate":
        return camera(fps, lanes=count)
    if name == "server":
        return Server(rate_hz=rate_hz, lanes=count)
    return SingleStream() if name == "single-stream" else Offline(lanes=count)


def lanes_of(setting: Setting) -> int:
    """Return how many samples a scenario runs at once."""
    return 1 if isinstance(setting, SingleStream) else setting.lanes


def words(setting: Setting) -> str:
    """Say what a setting asks for.

    >>> words(SingleStream()), words(Server(rate_hz=20)), words(Offline(lanes=2))
    ('single stream', 'server at 20 Hz', 'offline, 2 lanes')
    """
    told: str = setting.name
    if isinstance(setting, FixedRate):
        told += f" at {setting.fps:g} fps"
    elif isinstance(setting, Server):
        told += f" at {setting.rate_hz:g} Hz"
    lanes = lanes_of(setting)
    return told if lanes == 1 else f"{told}, {lanes} lanes"


def play(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    setting: Setting,
    *,
    system: str,
    length: Length,
    rule: WarmRule,
    watch: Watch,
) -> Scene:
    """Run a scenario once; the watch must have been started.

    Warming up is not in what is judged, nor in the energy. Where energy can be read, nothing runs
    for a while before and after, and a run that is long enough for it by what was asked for is made
    so long that a counter is renewed often enough too.
    """
    rests = readable(watch.timeline())
    idle = list(_rest(rests))
    if rests and length.min_s >= LEAST_S:
        watch.settle()
        least = max(length.min_s, enough_s(watch.timeline(), idle))
        length = length.model_copy(update={"min_s": least})
    found = _run(run, next_sample, setting, length=length, rule=rule)
    window = Window(found.samples.start_ns, found.samples.end_ns)
    idle += _rest(rests)
    validity = watch.judged(window)
    return Scene(
        system=system,
        outcome=found,
        validity=validity,
        energies=energies(
            watch.timeline(), window, frames=len(found.samples.done), idle=tuple(idle)
        ),
    )


def _run(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    setting: Setting,
    *,
    length: Length,
    rule: WarmRule,
) -> Outcome:
    clock = WallClock()
    if isinstance(setting, FixedRate):
        return fixed_rate(run, next_sample, setting, length=length, rule=rule, clock=clock)
    if isinstance(setting, Server):
        return server(run, next_sample, setting, length=length, rule=rule, clock=clock)
    if isinstance(setting, Offline):
        return offline(run, next_sample, setting, length=length, rule=rule, clock=clock)
    return single_stream(run, next_sample, length=length, rule=rule, clock=clock)


def _rest(rests: bool) -> Iterator[Window]:
    if rests:
        began = time.perf_counter_ns()
        time.sleep(IDLE_S)
        yield Window(began, time.perf_counter_ns())

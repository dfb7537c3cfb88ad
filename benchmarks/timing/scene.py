"""A scenario of one system under watch: what came out, whether it counts, and what it drew."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from stylepress.benchmarks.machine.energy import LEAST_S, Energy, energies, enough_s, readable
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.loop import WarmRule
from stylepress.benchmarks.timing.outcome import (
    Drop,
    FixedRate,
    Length,
    Offline,
    Outcome,
    Server,
    Setting,
    SingleStream,
)
from stylepress.benchmarks.timing.scenarios import camera, lanes_of, run_scenario
from stylepress.errors import RecipeError

SCENARIOS = ("single-stream", "fixed-rate", "server", "offline")
DROPS: tuple[str, ...] = get_args(Drop)
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


@dataclass(frozen=True, slots=True)
class Wish:
    """What a user may say of scenarios; None is what a scenario has of itself.

    ``fps``, ``queue``, ``drop`` and ``deadline_ms`` are of the fixed rate, whose deadline is the next
    frame; ``rate_hz`` and ``seed``, which draws when requests arrive, of the server. ``lanes`` are
    one, and for ``offline`` one a core of ``cores``.
    """

    cores: int
    fps: float = 30.0
    queue: int = 1
    drop: str = "oldest"
    deadline_ms: float | None = None
    rate_hz: float | None = None
    seed: int = 0
    lanes: int | None = None


def setting_named(name: str, wish: Wish) -> Setting:
    """Return the setting of a scenario.

    Raises:
        RecipeError: no such scenario or way to drop, a server without a rate, or a number that
            cannot be kept.
    """
    if name not in SCENARIOS:
        raise RecipeError(f"There is no scenario {name!r}.", f"Name one of {', '.join(SCENARIOS)}.")
    if name == "server" and wish.rate_hz is None:
        raise RecipeError("Nobody said how many requests a server gets.", "Give e.g. `--rate 20`.")
    if wish.drop not in DROPS:
        raise RecipeError(
            f"Nobody can drop {wish.drop!r} of a full queue.", f"Name one of {', '.join(DROPS)}."
        )
    lanes = wish.lanes if wish.lanes is not None else wish.cores if name == "offline" else 1
    values = {"--fps": wish.fps, "--rate": wish.rate_hz, "--lanes": lanes, "--queue": wish.queue}
    for option, value in {**values, "--deadline": wish.deadline_ms}.items():
        if value is not None and not 0 < value < 1e6:
            raise RecipeError(f"{option} {value:g} cannot be kept.", "Give more than 0.")
    if name == "fixed-rate":
        own = {} if wish.deadline_ms is None else {"deadline_ms": wish.deadline_ms}
        return camera(wish.fps, queue=wish.queue, drop=wish.drop, lanes=lanes, **own)
    if name == "server":
        return Server(rate_hz=wish.rate_hz or 0.0, seed=wish.seed, lanes=lanes)
    return SingleStream() if name == "single-stream" else Offline(lanes=lanes)


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
    for a while before and after: what is drawn in the quieter of the two is idle. A run that is
    long enough for it by what was asked for is made so long that a counter is renewed often enough.
    """
    rests = readable(watch.timeline())
    idle = list(_rest(rests))
    if rests and length.min_s >= LEAST_S:
        watch.settle()
        least = max(length.min_s, enough_s(watch.timeline(), idle))
        length = length.model_copy(update={"min_s": least})
    found = run_scenario(run, next_sample, setting, length=length, rule=rule)
    window = Window(found.samples.start_ns, found.samples.end_ns)
    idle += _rest(rests)
    return Scene(
        system=system,
        outcome=found,
        validity=watch.judged(window),
        energies=energies(
            watch.timeline(), window, frames=len(found.samples.done), idle=tuple(idle)
        ),
    )


def _rest(rests: bool) -> Iterator[Window]:
    if rests:
        began = time.perf_counter_ns()
        time.sleep(IDLE_S)
        yield Window(began, time.perf_counter_ns())

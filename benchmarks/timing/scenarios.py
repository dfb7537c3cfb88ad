"""How a model is used while it is measured: one frame at a time, by a camera, all frames at once.

When a camera's frames are due is known before, so nothing has to put them in: what has come while a
frame was drawn follows from the time alone, nothing runs beside the system, and a clock that tests set
can drive the whole.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from threading import Event, Lock
from typing import Any

from stylepress.benchmarks.machine.timeline import LEAST_S, LONG_S, Window, energies, readable
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing.loop import Clock, WallClock, WarmRule, WarmUp, warm_up
from stylepress.benchmarks.timing.outcome import Length, Outcome, Samples, Setting, outcome
from stylepress.errors import RecipeError

SCENARIOS = ("single-stream", "fixed-rate", "offline")
WARM_CALLS = 3
"""How often each of several lanes is run beside the others, before anything is measured."""
IDLE_S = 2.0
"""How long nothing runs before and after, where energy can be read: what the machine draws idle."""
Run = Callable[[Any], object]
Next = Callable[[], Any]


def setting_of(name: str, asked: Mapping[str, Any], *, cores: int) -> Setting:
    """Return the setting of a scenario, from the options of the command by their names.

    A camera's deadline is the next frame; ``offline`` has a lane a core.

    Raises:
        RecipeError: no such scenario.
    """
    if name not in SCENARIOS:
        raise RecipeError(f"There is no scenario {name!r}.", f"Name one of {', '.join(SCENARIOS)}.")
    if name == "fixed-rate":
        return camera(asked["fps"], deadline_ms=asked["deadline"])
    if name == "offline":
        return Setting(name="offline", lanes=cores)
    return Setting(name="single stream")


def camera(fps: float, *, deadline_ms: float | None = None) -> Setting:
    """Return the setting of a camera; its deadline is the next frame where none is told.

    >>> camera(25).deadline_ms
    40.0
    """
    return Setting(name="fixed rate", rate_hz=fps, deadline_ms=deadline_ms or 1000 / fps)


def play(
    run: Run,
    next_sample: Next,
    setting: Setting,
    *,
    length: Length,
    rule: WarmRule,
    watch: Watch,
    system: str = "",
) -> Outcome:
    """Run a scenario once under a watch that has been started.

    Warming up is not in what is judged, nor in the energy. Where energy can be read, nothing runs
    for a while before and after: what is drawn in the quieter of the two is idle. A run that was
    asked to be long enough for it lasts until a counter has been renewed often enough.
    """
    rests = readable(watch.timeline())
    if rests and length.min_s >= LEAST_S:
        length = length.model_copy(update={"min_s": max(length.min_s, LONG_S)})
    idle = list(_rest(rests))
    found = run_scenario(run, next_sample, setting, length=length, rule=rule, system=system)
    start_ns, done = found.samples.start_ns, found.samples.done
    window = Window(start_ns, start_ns + max(done, default=0))
    idle += _rest(rests)
    validity = watch.judged(window)
    line, title = watch.timeline(), found.title
    used = energies(line, window, frames=len(done), idle=idle, subject=title)
    doubts = (*found.doubts, *validity.reasons)
    return found.model_copy(update={"validity": validity, "energies": used, "doubts": doubts})


def _rest(rests: bool) -> Iterator[Window]:
    if rests:
        began = time.perf_counter_ns()
        time.sleep(IDLE_S)
        yield Window(began, time.perf_counter_ns())


def run_scenario(
    run: Run,
    next_sample: Next,
    setting: Setting,
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
    system: str = "",
) -> Outcome:
    """Run one scenario; ``rule`` None: no warm-up.

    A single stream measures service time in a closed loop: it waits for a slow answer before it
    asks again, so one stall counts as one sample. What users feel of it is measured in an open loop,
    by a camera: response time from when a frame was due, whether or not the last one is done. Offline
    measures throughput alone. A run ends at ``length.most_s``, and the outcome says so.
    """
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=setting.lanes, rule=rule, clock=clock)
    if setting.rate_hz:
        samples = film(run, next_sample, setting.rate_hz, length=length, clock=clock)
    else:
        samples = drain(run, next_sample, lanes=setting.lanes, length=length, clock=clock)
    return outcome(setting, samples, length=length, warm_up=warmed, system=system)


def film(run: Run, next_sample: Next, fps: float, *, length: Length, clock: Clock) -> Samples:
    """Draw a camera's frames, each when it is due: after one is drawn the last that has come.

    Frame k is due at k / ``fps``. Those that another followed meanwhile are dropped.
    """
    count = max(length.min_count, math.ceil(length.min_s * fps))
    taken: list[tuple[int, int, int, int]] = []
    number = dropped = 0
    start = clock.now_ns()
    while number < count:
        free = clock.now_ns() - start
        come = min(int(free * fps / 1e9), count - 1)
        dropped, number = dropped + max(0, come - number), max(number, come)
        due = round(1e9 * number / fps)
        if max(free, due) >= 1e9 * length.most_s:
            break
        sample = next_sample()
        clock.sleep_until_ns(start + due)
        began = clock.now_ns() - start
        run(sample)
        taken.append((due, began, clock.now_ns() - start, began - max(due, free)))
        number += 1
    due_ns, began_ns, done_ns, late = zip(*taken, strict=True) if taken else [()] * 4
    return Samples(
        start_ns=start, scheduled=due_ns, began=began_ns, done=done_ns, late=late,
        dropped=dropped, due_later=count - number,
    )  # fmt: skip


def drain(run: Run, next_sample: Next, *, lanes: int, length: Length, clock: Clock) -> Samples:
    """Let lanes run samples, each the next when its last is done, until the run is long enough."""
    taken: list[tuple[int, int]] = []
    lock, begun, start = Lock(), 0, clock.now_ns()

    def call() -> bool:
        nonlocal begun
        with lock:
            now_s = (clock.now_ns() - start) / 1e9
            if now_s >= length.most_s or (begun >= length.min_count and now_s >= length.min_s):
                return False
            begun += 1
            sample = next_sample()
        began = clock.now_ns() - start
        run(sample)
        taken.append((began, clock.now_ns() - start))
        return True

    run_lanes(call, lanes)
    began_ns, done_ns = zip(*sorted(taken), strict=True) if taken else [()] * 2
    return Samples(start_ns=start, scheduled=began_ns, began=began_ns, done=done_ns)


def warm_lanes(
    run: Run, next_sample: Next, *, lanes: int, rule: WarmRule | None, clock: Clock
) -> WarmUp:
    """Warm up in one lane by the rule (None: not at all), then in all lanes at once.

    What a lane allots when it is used beside others for the first time is no sample's doing.
    """
    if rule is None:
        return WarmUp()
    warmed = warm_up(run, next_sample, rule=rule, clock=clock)
    if lanes > 1:
        several = Length(min_s=0, min_count=WARM_CALLS * lanes)
        drain(run, next_sample, lanes=lanes, length=several, clock=clock)
    return warmed


def run_lanes(call: Callable[[], bool], lanes: int) -> None:
    """Let each lane call until it is told False, each but a single one in a thread.

    When one raises, the others end too; then it is raised here.
    """
    stop = Event()

    def lane() -> None:
        try:
            while not stop.is_set() and call():
                pass
        except BaseException:
            stop.set()
            raise

    if lanes == 1:
        lane()
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="scenario") as pool:
        for future in [pool.submit(lane) for _ in range(lanes)]:
            future.result()

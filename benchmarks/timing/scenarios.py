"""How a model is used while it is measured: one frame at a time, a camera, a server, a batch.

Every arrival is known before, and what a queue holds when a lane becomes free follows from the time
alone: nothing runs beside the system, and a clock that tests set can drive the whole.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Lock
from typing import Any

from stylepress.benchmarks.machine.timeline import LEAST_S, LONG_S, Window, energies, readable
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing.loop import Clock, WarmRule, WarmUp, warm_up
from stylepress.benchmarks.timing.outcome import Drop, Length, Outcome, Samples, Setting, outcome
from stylepress.errors import RecipeError

SCENARIOS = ("single-stream", "fixed-rate", "server", "offline")
MOST_ARRIVALS = 1_000_000
WARM_CALLS = 3
"""How often each of several lanes is run beside the others, before anything is measured."""
IDLE_S = 2.0
"""How long nothing runs before and after, where energy can be read: what the machine draws idle."""
Run = Callable[[Any], object]
Next = Callable[[], Any]


def setting_of(name: str, asked: Mapping[str, Any], *, cores: int) -> Setting:
    """Return the setting of a scenario, from the options of the command by their names.

    A camera's deadline is the next frame; lanes are one, and one a core for ``offline``.

    Raises:
        RecipeError: no such scenario, or a server without a rate.
    """
    if name not in SCENARIOS:
        raise RecipeError(f"There is no scenario {name!r}.", f"Name one of {', '.join(SCENARIOS)}.")
    if name == "single-stream":
        return Setting(name="single stream")
    lanes = asked["lanes"] or (cores if name == "offline" else 1)
    if name == "offline":
        return Setting(name="offline", lanes=lanes)
    if name == "fixed-rate":
        due = {} if asked["deadline"] is None else {"deadline_ms": asked["deadline"]}
        return camera(asked["fps"], queue=asked["queue"], drop=asked["drop"], lanes=lanes, **due)
    if asked["rate"] is None:
        raise RecipeError("A server gets requests at a rate.", "Give e.g. `--rate 20`.")
    return Setting(name="server", rate_hz=asked["rate"], seed=asked["seed"], lanes=lanes)


def camera(fps: float, **others: Any) -> Setting:
    """Return the setting of a camera whose deadline is the next frame.

    >>> camera(25).deadline_ms
    40.0
    """
    return Setting(name="fixed rate", rate_hz=fps, **{"deadline_ms": 1000 / fps, **others})


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
    for a while before and after, and a run that was asked to be long enough for it lasts until a
    counter has been renewed often enough.
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
    used = energies(watch.timeline(), window, frames=len(done), idle=idle, subject=found.title)
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

    A single stream measures service time in a closed loop, in which one stall counts as one sample.
    A server and a fixed rate measure response time in an open loop: from when a sample was due,
    whether or not the last one is answered. What is left at ``length.most_s`` is not run, and the
    outcome says so. Offline measures throughput alone.
    """
    length, clock = length or Length(), clock or Clock()
    warmed = warm_lanes(run, next_sample, lanes=setting.lanes, rule=rule, clock=clock)
    rate_hz, min_s, min_count = setting.rate_hz or 0.0, length.min_s, length.min_count
    queue: Queue | Stock
    if setting.name == "fixed rate":
        arrivals = steady_ns(rate_hz, min_s=min_s, min_count=min_count)
        room = None if setting.drop == "none" else setting.queue
        queue = Queue(arrivals, room=room, drop=setting.drop)
    elif setting.name == "server":
        queue = Queue(poisson_ns(rate_hz, seed=setting.seed, min_s=min_s, min_count=min_count))
    else:
        queue = Stock(least_ns=round(1e9 * min_s), least_count=min_count)
    most_ns = round(1e9 * length.most_s)
    samples = drain(queue, run, next_sample, lanes=setting.lanes, most_ns=most_ns, clock=clock)
    return outcome(setting, samples, length=length, warm_up=warmed, system=system)


def poisson_ns(rate_hz: float, *, seed: int, min_s: float, min_count: int) -> tuple[int, ...]:
    """Draw arrival times of a Poisson process, in ns from the start, rising.

    Gaps are exponential with mean ``1 / rate_hz``, by inversion of uniform numbers: one seed gives
    one schedule, whatever the versions. As many as ``min_count`` and ``min_s`` seconds both ask.
    """
    _check(rate_hz, min_s, min_count)
    random = Random(seed)
    arrivals: list[int] = []
    now_s = 0.0
    while len(arrivals) < min_count or now_s < min_s:
        now_s -= math.log1p(-random.random()) / rate_hz
        arrivals.append(round(1e9 * now_s))
    return tuple(arrivals)


def steady_ns(rate_hz: float, *, min_s: float, min_count: int) -> tuple[int, ...]:
    """Return the times k / ``rate_hz`` of a camera, in ns from the start.

    >>> steady_ns(25, min_s=0.1, min_count=1)
    (0, 40000000, 80000000)
    """
    _check(rate_hz, min_s, min_count)
    count = max(min_count, math.ceil(min_s * rate_hz))
    return tuple(round(1e9 * number / rate_hz) for number in range(count))


def _check(rate_hz: float, min_s: float, min_count: int) -> None:
    if max(min_count, min_s * rate_hz) > MOST_ARRIVALS:
        raise RecipeError(
            f"{rate_hz:g} samples a second for {min_s:g} s are more than {MOST_ARRIVALS:,}, and "
            f"each is kept.",
            "Ask for a lower rate or a shorter time.",
        )


class Stock:
    """Samples that are there whenever a lane is free, until the run is as long as it shall be."""

    dropped: Sequence[int] = ()
    waiting = due_later = 0

    def __init__(self, *, least_ns: int, least_count: int) -> None:
        self._least_ns, self._left = least_ns, least_count

    def take(self, now_ns: int, *, until_ns: float) -> int | None:
        """Return when the next sample is due, which is now; None at the end."""
        if now_ns >= until_ns or (self._left <= 0 and now_ns >= self._least_ns):
            return None
        self._left -= 1
        return now_ns

    def give_up(self) -> None:
        self._left, self._least_ns = 0, 0


class Queue:
    """Samples that are due at ``arrivals`` and wait until a lane takes them.

    ``room`` is how many may wait, None for any number. A take is exact as long as takes come in
    the order of time, which their lock sees to.
    """

    def __init__(self, arrivals: Sequence[int], *, room: int | None = None, drop: Drop = "none"):
        self.arrivals, self.room, self.drop = arrivals, room, drop
        self.dropped: list[int] = []
        self.waiting = self.due_later = 0
        self._waiting: deque[int] = deque()
        self._next = 0

    def take(self, now_ns: int, *, until_ns: float) -> int | None:
        """Return when the sample is due that a free lane runs next; None at ``until_ns`` or the end."""
        self._arrive(now_ns)
        if now_ns >= until_ns:
            self.give_up()
        if self._waiting:
            return self.arrivals[self._waiting.popleft()]
        if self._next < len(self.arrivals) and self.arrivals[self._next] >= until_ns:
            self.give_up()
        if self._next == len(self.arrivals):
            return None
        self._next += 1
        return self.arrivals[self._next - 1]

    def give_up(self) -> None:
        self.waiting += len(self._waiting)
        self.due_later += len(self.arrivals) - self._next
        self._waiting.clear()
        self._next = len(self.arrivals)

    def _arrive(self, now_ns: int) -> None:
        """Let all samples wait that are due, or be dropped."""
        while self._next < len(self.arrivals) and self.arrivals[self._next] <= now_ns:
            if self.room is None or len(self._waiting) < self.room:
                self._waiting.append(self._next)
            elif self.drop == "newest":
                self.dropped.append(self._next)
            else:
                self.dropped.append(self._waiting.popleft())
                self._waiting.append(self._next)
            self._next += 1


def drain(
    queue: Queue | Stock, run: Run, next_sample: Next, *, lanes: int, most_ns: int, clock: Clock
) -> Samples:
    """Let lanes run what a queue holds until it is empty or ``most_ns`` is over."""
    taken, lock, start = list[tuple[int, int, int, int]](), Lock(), clock.now_ns()

    def lane() -> None:
        while True:
            free = clock.now_ns() - start  # waiting for another lane's sample is our doing
            with lock:
                due = queue.take(clock.now_ns() - start, until_ns=most_ns)
                if due is None:
                    return
                sample = next_sample()
            clock.sleep_until_ns(start + due)
            began = clock.now_ns() - start
            try:
                run(sample)
            except BaseException:
                with lock:
                    queue.give_up()  # so that the other lanes end too
                raise
            done = clock.now_ns() - start
            taken.append((due, began, done, began - max(due, free)))

    run_lanes(lane, lanes)
    columns: list[tuple[int, ...]] = list(zip(*sorted(taken), strict=True)) or [()] * 4
    scheduled, began, done, late = columns
    return Samples(
        start_ns=start,
        scheduled=scheduled,
        began=began,
        done=done,
        late=late if isinstance(queue, Queue) else (),
        dropped=tuple(sorted(queue.dropped)),
        waiting=queue.waiting,
        due_later=queue.due_later,
    )


def warm_lanes(
    run: Run, next_sample: Next, *, lanes: int, rule: WarmRule | None, clock: Clock
) -> WarmUp:
    """Warm up in one lane by the rule (None: not at all), then in all lanes at once.

    What a lane allots when it is used beside others for the first time is no sample's doing.
    """
    if rule is None:
        return WarmUp()
    warmed = warm_up(run, next_sample, rule=rule, clock=clock)
    lock = Lock()

    def lane() -> None:
        for _ in range(WARM_CALLS):
            with lock:
                sample = next_sample()
            run(sample)

    if lanes > 1:
        run_lanes(lane, lanes)
    return warmed


def run_lanes(lane: Callable[[], None], lanes: int) -> None:
    """Run a lane as often as asked, each but a single one in a thread; raise what one of them raised."""
    if lanes == 1:
        lane()
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="scenario") as pool:
        for future in [pool.submit(lane) for _ in range(lanes)]:
            future.result()

"""How a model is used while it is measured: one frame at a time, a camera, a server, a batch.

Every arrival is known before, so no thread has to put samples in. What a queue would hold when a
lane becomes free follows from the time alone, so one lane needs no thread at all, nothing runs
beside the system, and a clock that tests set can drive the whole.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from random import Random
from threading import Lock
from typing import Any

from stylepress.benchmarks.timing.loop import (
    Clock,
    WallClock,
    WarmRule,
    WarmUp,
    closed_loop,
    warm_up,
)
from stylepress.benchmarks.timing.outcome import (
    Drop,
    FixedRate,
    Length,
    Offline,
    Outcome,
    Rest,
    Samples,
    Setting,
    SingleStream,
    outcome,
)
from stylepress.errors import RecipeError

MOST_ARRIVALS = 1_000_000
WARM_CALLS = 3
"""How often each of several lanes is run beside the others, before anything is measured."""
Run = Callable[[Any], object]
Next = Callable[[], Any]


def run_scenario(
    run: Run,
    next_sample: Next,
    setting: Setting,
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Run one scenario; ``rule`` None: no warm-up.

    A single stream measures service time in a closed loop: it waits for a slow answer before it
    asks again, so one stall counts as one sample. What users feel of it is measured in an open loop,
    by a server and a fixed rate: response time from when a sample was due, whether or not the last
    one is answered. A rate that the system cannot keep ends in a queue that only grows, or drops
    frames; samples are left at ``length.most_s``, and the outcome says so. Offline measures
    throughput alone.
    """
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=lanes_of(setting), rule=rule, clock=clock)
    if isinstance(setting, SingleStream | Offline):
        samples = _closed(run, next_sample, setting, length, clock)
        return outcome(setting, samples, length=length, warm_up=warmed)
    if isinstance(setting, FixedRate):
        arrivals = steady_ns(setting.fps, min_s=length.min_s, min_count=length.min_count)
        queue = Queue(arrivals, room=setting.queue, drop=setting.drop)
    else:
        min_s, count = length.min_s, length.min_count
        rate_hz, seed = setting.rate_hz, setting.seed
        queue = Queue(poisson_ns(rate_hz, seed=seed, min_s=min_s, min_count=count))
    samples = drain(queue, run, next_sample, lanes=setting.lanes, most_s=length.most_s, clock=clock)
    return outcome(
        setting, samples, length=length, warm_up=warmed, rest=queue.rest, dropped=queue.dropped
    )


def lanes_of(setting: Setting) -> int:
    """Return how many samples a scenario runs at once."""
    return 1 if isinstance(setting, SingleStream) else setting.lanes


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
    if not (math.isfinite(rate_hz) and rate_hz > 0):
        raise RecipeError(
            f"Samples that arrive at a rate of {rate_hz} a second never arrive.",
            "Give a rate above 0.",
        )
    if max(min_count, min_s * rate_hz) > MOST_ARRIVALS:
        raise RecipeError(
            f"{rate_hz:g} samples a second for {min_s:g} s are more than {MOST_ARRIVALS:,}, and "
            f"each is kept.",
            "Ask for a lower rate or a shorter time.",
        )


class Queue:
    """Samples that are due at ``arrivals`` and wait until a lane takes them.

    ``room`` is how many may wait, None for any number. A take is exact as long as takes come in
    the order of time, which their lock sees to.
    """

    def __init__(self, arrivals: Sequence[int], *, room: int | None = None, drop: Drop = "none"):
        self.arrivals, self.drop = arrivals, drop
        self.room = None if drop == "none" else room
        self.dropped: list[int] = []
        self.rest = Rest()
        self._waiting: deque[int] = deque()
        self._next = 0

    def take(self, now_ns: int, *, until_ns: int) -> int | None:
        """Return the number of the sample a lane that is free now runs next; None at the end.

        When none waits, it is the next to come. None is taken at ``until_ns``, or to begin then.
        """
        self._arrive(now_ns)
        if now_ns >= until_ns:
            self.give_up()
        if self._waiting:
            return self._waiting.popleft()
        if self._next < len(self.arrivals) and self.arrivals[self._next] >= until_ns:
            self.give_up()
        if self._next == len(self.arrivals):
            return None
        self._next += 1
        return self._next - 1

    def give_up(self) -> None:
        """Let no more be taken; ``rest`` tells how many waited, and how many were due later."""
        later = len(self.arrivals) - self._next
        self.rest = Rest(self.rest.waiting + len(self._waiting), self.rest.due_later + later)
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
    queue: Queue, run: Run, next_sample: Next, *, lanes: int, most_s: float, clock: Clock
) -> Samples:
    """Let lanes run a queue until it is empty or ``most_s`` is over.

    Return the samples in the order of arrival; ``queue.rest`` are those that were not run.
    """
    taken: list[tuple[int, int, int, int, int]] = []
    lock, start, most = Lock(), clock.now_ns(), round(1e9 * most_s)

    def lane() -> None:
        while True:
            free = clock.now_ns() - start  # waiting for another lane's sample is our doing
            with lock:
                number = queue.take(clock.now_ns() - start, until_ns=most)
                if number is None:
                    return
                sample = next_sample()
            due = queue.arrivals[number]
            clock.sleep_until_ns(start + due)
            began = clock.now_ns() - start
            run(sample)
            done = clock.now_ns() - start
            taken.append((number, due, began, done, began - max(due, free)))

    def stop() -> None:
        with lock:
            queue.give_up()

    run_lanes(lane, lanes, stop=stop)
    columns: list[tuple[int, ...]] = list(zip(*sorted(taken), strict=True)) or [()] * 5
    _, due, began, done, late = columns
    return Samples(start_ns=start, scheduled=due, began=began, done=done, late=late)


def _closed(run: Run, next_sample: Next, setting: Setting, length: Length, clock: Clock) -> Samples:
    """Run closed loops, one in each lane, until all have done their share."""
    lock, lanes, start = Lock(), lanes_of(setting), clock.now_ns()
    spans: list[tuple[int, int]] = []
    failed: list[bool] = []

    def sample() -> Any:
        with lock:
            if failed:
                raise _StoppedError
            return next_sample()

    def lane() -> None:
        with suppress(_StoppedError):
            calls = closed_loop(
                run,
                sample if lanes > 1 else next_sample,
                least_s=length.min_s,
                least_count=math.ceil(length.min_count / lanes),
                most_s=length.most_s,
                most_count=math.ceil(length.most_count / lanes),
                clock=clock,
            )
            spans.extend(zip(calls.began, calls.done, strict=True))

    run_lanes(lane, lanes, stop=lambda: failed.append(True))
    spans.sort()
    began, done = (tuple(span[end] - start for span in spans) for end in (0, 1))
    due = began if isinstance(setting, SingleStream) else (0,) * len(spans)
    return Samples(start_ns=start, scheduled=due, began=began, done=done)


class _StoppedError(Exception):
    """Another lane failed."""


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
        run_lanes(lane, lanes, stop=lambda: None)
    return warmed


def run_lanes(lane: Callable[[], None], lanes: int, *, stop: Callable[[], None]) -> None:
    """Run a lane as often as asked, each but a single one in a thread.

    When one raises, ``stop`` is called, so that the others end too; then it is raised here.
    """

    def guarded() -> None:
        try:
            lane()
        except BaseException:
            stop()
            raise

    if lanes == 1:
        lane()
        return
    with ThreadPoolExecutor(lanes, thread_name_prefix="scenario") as pool:
        for future in [pool.submit(guarded) for _ in range(lanes)]:
            future.result()


def camera(fps: float, **others: Any) -> FixedRate:
    """Return the setting of a camera whose deadline is the next frame.

    >>> camera(25).deadline_ms
    40.0
    """
    return FixedRate(fps=fps, **{"deadline_ms": 1000 / fps, **others})

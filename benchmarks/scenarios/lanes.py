"""Lanes that take the next sample when they are free: a queue whose arrivals are known before.

Because every arrival is known, no thread has to put samples in. What a queue would hold when a
lane becomes free follows from the time alone, so one lane needs no thread at all, nothing runs
beside the system, and a clock that tests set can drive the whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import Any

from stylepress.benchmarks.scenarios.clock import Clock
from stylepress.benchmarks.scenarios.outcome import Drop, Rest, Samples
from stylepress.benchmarks.scenarios.warm_up import NO_WARM_UP, WarmRule, WarmUp, warm

WARM_CALLS = 3
"""How often each of several lanes is run beside the others, before anything is measured."""


@dataclass(frozen=True, slots=True)
class Taken:
    """One sample that was run; times in ns from the start, ``late`` is the harness's doing."""

    number: int
    scheduled: int
    began: int
    done: int
    late: int


class Queue:
    """Samples that are due at ``arrivals`` and wait until a lane takes them.

    ``room`` is how many may wait, None for any number. A take is exact as long as takes come in
    the order of time, which their lock sees to.
    """

    def __init__(self, arrivals: Sequence[int], *, room: int | None = None, drop: Drop = "none"):
        self.arrivals = arrivals
        self.room = None if drop == "none" else room
        self.drop = drop
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
    queue: Queue,
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    *,
    lanes: int,
    most_s: float,
    clock: Clock,
) -> Samples:
    """Let lanes run a queue until it is empty or ``most_s`` is over.

    Return the samples in the order of arrival; ``queue.rest`` are those that were not run.
    """
    taken: list[Taken] = []
    lock = Lock()
    start = clock.now_ns()
    most = round(1e9 * most_s)

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
            taken.append(Taken(number, due, began, done, began - max(due, free)))

    def stop() -> None:
        with lock:
            queue.give_up()

    run_lanes(lane, lanes, stop=stop)
    taken.sort(key=lambda one: one.number)
    columns = [
        tuple(getattr(one, name) for one in taken)
        for name in ("scheduled", "began", "done", "late")
    ]
    return Samples(
        start_ns=start, scheduled=columns[0], began=columns[1], done=columns[2], late=columns[3]
    )


def warm_lanes(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    *,
    lanes: int,
    rule: WarmRule | None,
    clock: Clock,
) -> WarmUp:
    """Warm up in one lane by the rule (None: not at all), then in all lanes at once.

    What a lane allots when it is used beside others for the first time is no sample's doing.
    """
    if rule is None:
        return NO_WARM_UP
    warmed = warm(run, next_sample, rule=rule, clock=clock)
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

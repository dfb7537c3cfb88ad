"""The one timed loop and the one warm-up; no imports, so that a timed process can use them too."""

from __future__ import annotations

import math
import select
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

SPIN_NS = 300_000
"""The end of a wait is spun through: a thread that sleeps wakes up 0.1 ms late."""
WINDOWS, LEAST_CALLS = 3, 3


class Clock:
    """The system's monotonic clock, ns: one epoch for all processes of a machine."""

    def now_ns(self) -> int:
        return time.perf_counter_ns()

    def sleep_until_ns(self, when_ns: int) -> None:
        """Sleep, and spin for the last part of a millisecond."""
        left = when_ns - time.perf_counter_ns()
        if left > SPIN_NS:
            time.sleep((left - SPIN_NS) / 1e9)
        while time.perf_counter_ns() < when_ns:
            # Returns at once, but lets go of the interpreter's lock: a bare loop held it for 5 ms
            # while another lane had its answer. sleep(0) would come 0.06 ms late.
            select.select((), (), (), 0)


def closed_loop(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    *,
    least_s: float,
    least_count: int = 1,
    most_s: float = math.inf,
    most_count: float = math.inf,
    clock: Clock,
) -> array[int]:
    """Run samples, the next when the last is done; return the ns of each, without getting the sample.

    It lasts ``least_s`` and ``least_count`` calls, both, but ends at ``most_s`` or ``most_count``
    all the same; one call is made in any case.
    """
    now = clock.now_ns
    taken = array("q")  # eight bytes each
    start = now()
    least, most = start + 1e9 * least_s, start + 1e9 * most_s
    while True:
        sample = next_sample()
        began = now()
        run(sample)
        done = now()
        taken.append(done - began)
        count = len(taken)
        if (done >= least and count >= least_count) or done >= most or count >= most_count:
            return taken


@dataclass(frozen=True, slots=True)
class WarmRule:
    """How long to warm up: ``min_s`` and ``min_count`` both, and until three windows agree.

    A window lasts ``window_s`` and at least three calls; windows agree when their medians lie
    within ``within`` of each other. At ``most_s`` it ends all the same, as not stable.
    """

    min_s: float = 3.0
    min_count: int = 20
    window_s: float = 0.5
    within: float = 0.02
    most_s: float = 20.0


@dataclass(frozen=True, slots=True)
class WarmUp:
    """What warming up took, and whether the system settled."""

    calls: int = 0
    seconds: float = 0.0
    stable: bool = True


def warm_up(
    run: Callable[[Any], object], next_sample: Callable[[], Any], *, rule: WarmRule, clock: Clock
) -> WarmUp:
    """Run a system in a closed loop, window by window, until the rule is content."""
    from statistics import median  # not at the top: it is 3 ms of an engine's start

    start = clock.now_ns()
    calls, medians = 0, list[float]()
    while True:
        left_s = rule.most_s - (clock.now_ns() - start) / 1e9
        taken = closed_loop(
            run,
            next_sample,
            least_s=rule.window_s,
            least_count=LEAST_CALLS,
            most_s=left_s,
            clock=clock,
        )
        calls += len(taken)
        medians.append(median(taken) / 1e6)
        seconds = (clock.now_ns() - start) / 1e9
        last = medians[-WINDOWS:]
        agreed = (
            seconds >= rule.min_s
            and calls >= rule.min_count
            and len(last) == WINDOWS
            and max(last) <= (1 + rule.within) * min(last)
        )
        if agreed or seconds >= rule.most_s:
            return WarmUp(calls, seconds, agreed)

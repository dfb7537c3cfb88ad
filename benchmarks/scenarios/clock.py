"""Where scenarios read the time and wait; tests put a clock of their own in its place."""

from __future__ import annotations

import select
import time
from typing import Protocol

SPIN_NS = 300_000
"""The end of a wait is spun through: a thread that sleeps wakes up 0.1 ms late."""


class Clock(Protocol):
    """A clock that never runs backwards, in nanoseconds of no particular beginning."""

    def now_ns(self) -> int:
        """Return the time."""

    def sleep_until_ns(self, when_ns: int) -> None:
        """Return at ``when_ns``, or at once when that has passed."""


class WallClock:
    """The system's monotonic clock; one epoch for all processes of a machine."""

    def now_ns(self) -> int:
        """Return the time."""
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

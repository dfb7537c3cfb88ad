"""A clock that only the test moves, for scenarios that need no time of their own."""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain, repeat

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.timing.loop import Clock
from stylepress.benchmarks.timing.outcome import Outcome

MS = 1_000_000


class Clockwork(Clock):
    """A clock that systems and waits move; a wait ends ``late_ns`` late."""

    def __init__(self, late_ns: int = 0) -> None:
        self.now, self.late_ns = 0, late_ns

    def now_ns(self) -> int:
        return self.now

    def sleep_until_ns(self, when_ns: int) -> None:
        if when_ns > self.now:
            self.now = when_ns + self.late_ns

    def system(self, *services_ns: int) -> Callable[[object], None]:
        """Take these times, then the last for ever."""
        times = chain(services_ns, repeat(services_ns[-1]))

        def run(sample: object) -> None:
            self.now += next(times)

        return run


def told(made: Outcome, metric: str) -> Check:
    """The figure of that name, e.g. ``latency p90``."""
    return next(one for one in made.figures if one.metric == metric)

"""Requests at random times: what a user of a shared machine waits for, from when they asked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylepress.benchmarks.scenarios.clock import Clock, WallClock
from stylepress.benchmarks.scenarios.lanes import Queue, drain, warm_lanes
from stylepress.benchmarks.scenarios.outcome import Length, Outcome, Server, outcome
from stylepress.benchmarks.scenarios.schedule import poisson_ns
from stylepress.benchmarks.scenarios.warm_up import WarmRule


def server(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    setting: Server,
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Measure response time in an open loop: from the time a request was due to its answer.

    Requests come whether or not the last one is answered, so a stall makes all of them late that
    fall into it. A rate that the system cannot keep ends in a queue that only grows: then samples
    are left at ``length.most_s``, and the outcome says so.
    """
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=setting.lanes, rule=rule, clock=clock)
    arrivals = poisson_ns(
        setting.rate_hz, seed=setting.seed, min_s=length.min_s, min_count=length.min_count
    )
    queue = Queue(arrivals)
    samples = drain(queue, run, next_sample, lanes=setting.lanes, most_s=length.most_s, clock=clock)
    return outcome(
        setting, samples, measures="response time", length=length, warm_up=warmed, rest=queue.rest
    )

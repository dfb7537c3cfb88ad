"""A camera that does not wait: how old a frame is when it is shown, and how many never are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylepress.benchmarks.scenarios.clock import Clock, WallClock
from stylepress.benchmarks.scenarios.lanes import Queue, drain, warm_lanes
from stylepress.benchmarks.scenarios.outcome import (
    FixedRate,
    Length,
    Outcome,
    outcome,
    video_of,
)
from stylepress.benchmarks.scenarios.schedule import steady_ns
from stylepress.benchmarks.scenarios.warm_up import WarmRule


def camera(fps: float, **others: Any) -> FixedRate:
    """Return the setting of a camera whose deadline is the next frame.

    >>> camera(25).deadline_ms
    40.0
    """
    return FixedRate(fps=fps, **{"deadline_ms": 1000 / fps, **others})


def fixed_rate(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    setting: FixedRate,
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Measure response time at a camera's rate, from capture to done.

    A frame that finds the queue full makes one be dropped, as the setting declares; it counts as
    missed, and as never done in the quantiles.
    """
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=setting.lanes, rule=rule, clock=clock)
    arrivals = steady_ns(setting.fps, min_s=length.min_s, min_count=length.min_count)
    queue = Queue(arrivals, room=setting.queue, drop=setting.drop)
    samples = drain(queue, run, next_sample, lanes=setting.lanes, most_s=length.most_s, clock=clock)
    return outcome(
        setting,
        samples,
        measures="response time",
        length=length,
        warm_up=warmed,
        rest=queue.rest,
        video=video_of(
            samples,
            sorted(queue.dropped),
            deadline_ms=setting.deadline_ms,
            waiting=queue.rest.waiting,
        ),
    )

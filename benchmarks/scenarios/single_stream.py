"""One sample after the other: what one user waits for, each time from begun to done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stylepress.benchmarks.scenarios.clock import Clock, WallClock
from stylepress.benchmarks.scenarios.lanes import warm_lanes
from stylepress.benchmarks.scenarios.outcome import (
    Length,
    Outcome,
    Samples,
    SingleStream,
    outcome,
)
from stylepress.benchmarks.scenarios.warm_up import WarmRule


def single_stream(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    *,
    length: Length | None = None,
    rule: WarmRule | None = None,
    clock: Clock | None = None,
) -> Outcome:
    """Measure service time in a closed loop; getting a sample is not in it.

    A closed loop waits for a slow answer before it asks again, so one stall counts as one sample:
    what users feel of it is measured by ``server`` and ``fixed_rate``. ``rule`` None: no warm-up.
    """
    length, clock = length or Length(), clock or WallClock()
    warmed = warm_lanes(run, next_sample, lanes=1, rule=rule, clock=clock)
    began: list[int] = []
    done: list[int] = []
    now = clock.now_ns
    start = end = now()
    least, most = start + round(1e9 * length.min_s), start + round(1e9 * length.most_s)
    while (end < least or len(done) < length.min_count) and not (
        done and (end >= most or len(done) >= length.most_count)
    ):
        sample = next_sample()
        began.append(now())
        run(sample)
        end = now()
        done.append(end)
    offsets = tuple(at - start for at in began)
    samples = Samples(
        start_ns=start,
        scheduled=offsets,
        began=offsets,
        done=tuple(at - start for at in done),
    )
    return outcome(SingleStream(), samples, measures="service time", length=length, warm_up=warmed)

"""Running a system until it is as fast as it will be, before anything is measured."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
from typing import Any

from pydantic import Field

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.scenarios.agreement import WINDOWS, WITHIN, agree
from stylepress.benchmarks.scenarios.clock import Clock


class WarmRule(Part):
    """How long to warm up: ``min_s`` and ``min_count`` both, and until three windows agree.

    A window lasts ``window_s`` and at least three calls; windows agree when their medians lie
    within ``within`` of each other. At ``most_s`` it ends all the same, as not stable.
    """

    min_s: float = Field(default=3.0, ge=0)
    min_count: int = Field(default=20, ge=0)
    window_s: float = Field(default=0.5, gt=0)
    within: float = Field(default=WITHIN, gt=0)
    most_s: float = Field(default=20.0, gt=0)


class WarmUp(Part):
    """What warming up took: ``first_ms`` is the first call of all, ``windows_ms`` the medians."""

    calls: int
    seconds: float
    first_ms: float | None
    windows_ms: tuple[float, ...]
    stable: bool


NO_WARM_UP = WarmUp(calls=0, seconds=0.0, first_ms=None, windows_ms=(), stable=True)


def warm(
    run: Callable[[Any], object],
    next_sample: Callable[[], Any],
    *,
    rule: WarmRule,
    clock: Clock,
) -> WarmUp:
    """Run a system in a closed loop until the rule is content."""
    start = clock.now_ns()
    first_ns: int | None = None
    medians: list[float] = []
    window: list[int] = []
    calls, edge = 0, start
    while True:
        sample = next_sample()
        began = clock.now_ns()
        run(sample)
        done = clock.now_ns()
        calls += 1
        first_ns = done - began if first_ns is None else first_ns
        window.append(done - began)
        if done - edge >= 1e9 * rule.window_s and len(window) >= WINDOWS:
            medians.append(median(window) / 1e6)
            window, edge = [], done
        seconds = (done - start) / 1e9
        agreed = agree(medians, rule.within)
        enough = seconds >= rule.min_s and calls >= rule.min_count
        if (enough and agreed) or seconds >= rule.most_s:
            return WarmUp(
                calls=calls,
                seconds=seconds,
                first_ms=first_ns / 1e6,
                windows_ms=tuple(medians),
                stable=enough and agreed,
            )

"""Nothing is measured before a system is as fast as it will be, in each of its lanes."""

from __future__ import annotations

from itertools import chain, count, repeat
from threading import Barrier

import pytest

from stylepress.benchmarks.timing.loop import WarmRule, warm_up
from stylepress.benchmarks.timing.outcome import Length, Setting
from stylepress.benchmarks.timing.scenarios import WARM_CALLS, run_scenario
from tests.benchmarks.clockwork import MS, Clockwork


def test_warming_up_goes_on_until_three_windows_agree() -> None:
    clock = Clockwork()
    rule = WarmRule(min_s=0.1, min_count=20, window_s=0.1)
    calls = [900 * MS, *(MS * (20 - one) for one in range(19)), MS]
    warmed = warm_up(clock.system(*calls), lambda: None, rule=rule, clock=clock)
    assert warmed.stable
    assert clock.now > (900 + sum(range(2, 21)) + 200) * MS


@pytest.mark.parametrize("lanes", [1, 3])
def test_every_lane_is_warm_before_anything_is_measured(lanes: int) -> None:
    busy = Barrier(lanes)
    seen: list[int] = []

    def run(sample: int) -> None:
        if sample < 0 and len(seen) >= 21:
            busy.wait(timeout=5)  # only a call beside the others gets on
        seen.append(sample)

    rule = WarmRule(min_s=0, min_count=20, window_s=1e-9, within=1e9, most_s=1)
    samples = chain(repeat(-1, 21 + (lanes > 1) * WARM_CALLS * lanes), count())
    made = run_scenario(
        run,
        samples.__next__,
        Setting(name="offline", lanes=lanes),
        length=Length(min_s=0, min_count=5),
        rule=rule,
    )
    assert made.warm_up.calls == 21
    assert {0, 1, 2, 3, 4} <= {*seen}


def test_what_never_settles_is_not_stable() -> None:
    clock = Clockwork()

    def slower_and_slower(sample: object) -> None:
        clock.now += MS + clock.now // 20

    rule = WarmRule(min_s=0.1, window_s=0.05, most_s=2)
    warmed = warm_up(slower_and_slower, lambda: None, rule=rule, clock=clock)
    assert not warmed.stable
    assert warmed.seconds >= 2


def test_the_first_call_is_no_sample() -> None:
    clock = Clockwork()
    rule = WarmRule(min_s=0.1, window_s=0.01)
    made = run_scenario(
        clock.system(500 * MS, MS),
        lambda: None,
        Setting(name="single stream"),
        length=Length(min_s=0, min_count=1),
        rule=rule,
        clock=clock,
    )
    assert made.samples.service_ns == (MS,)

"""The harness is fair, keeps its samples, and costs little."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest

from stylepress.benchmarks.intervals import paired_ratio
from stylepress.benchmarks.timing.latency import Plan, Timing, measure
from stylepress.progress import Silent
from tests.benchmarks.clockwork import Clockwork


class Turning(Clockwork):
    """A clock that only the systems move; ``drift`` makes everything slower with time."""

    def __init__(self, drift: float = 0.0) -> None:
        super().__init__()
        self.drift = drift
        self.log: list[str] = []

    def named(self, name: str, seconds: float) -> dict[str, Callable[[object], None]]:
        def run(sample: object) -> None:
            self.log.append(name)
            self.now += round(1e9 * seconds * (1 + self.drift * self.now / 1e9))

        return {name: run}


def run(clock: Turning, *systems: dict[str, Callable[[object], None]], plan: Plan) -> list[Timing]:
    every = {name: run for system in systems for name, run in system.items()}
    timings = measure(every, count().__next__, plan=plan, progress=Silent(), clock=clock)
    return list(timings.values())


def test_a_known_latency_is_measured_exactly() -> None:
    clock = Turning()
    (timing,) = run(clock, clock.named("a", 1 / 256), plan=Plan(rounds=3, turn_s=1 / 64))
    assert timing.median_ms == 1000 / 256
    assert timing.calls == 12


def test_the_order_turns_round_from_round_to_round() -> None:
    clock = Turning()
    plan = Plan(rounds=4, turn_s=0, warm_up=0)
    run(clock, clock.named("a", 1), clock.named("b", 1), plan=plan)
    assert "".join(clock.log) == "abbaabba"


def test_drift_does_not_favour_either_side() -> None:
    clock = Turning(drift=0.02)
    plan = Plan(rounds=10, turn_s=0.05)
    slow, fast = run(clock, clock.named("slow", 0.2), clock.named("fast", 0.1), plan=plan)
    ratio = paired_ratio(fast.round_medians_ms, slow.round_medians_ms)
    assert slow.rounds_ms[-1][0] > 1.05 * slow.rounds_ms[0][0]
    assert ratio.value == pytest.approx(2, rel=0.01)
    assert ratio.low is not None


def test_a_fast_system_begins_each_turn_with_an_untimed_call_and_a_slow_one_does_not() -> None:
    clock = Turning()
    plan = Plan(rounds=5, turn_s=0.5, most_calls=2, warm_up=1)
    run(clock, clock.named("fast", 0.001), clock.named("slow", 1), plan=plan)
    assert (clock.log.count("fast"), clock.log.count("slow")) == (1 + 5 * 3, 1 + 5)


def test_every_sample_is_a_fresh_one() -> None:
    seen: list[int] = []
    measure(
        {"a": seen.append},
        count().__next__,
        plan=Plan(rounds=2, turn_s=10, most_calls=3),
        progress=Silent(),
    )
    assert seen == list(range(2 + 2 * 4))


def test_the_harness_itself_takes_less_than_a_twentieth_of_a_millisecond() -> None:
    timing = measure(
        {"nothing": lambda sample: None},
        count().__next__,
        plan=Plan(rounds=5),
        progress=Silent(),
    )["nothing"]
    assert timing.median_ms < 0.05

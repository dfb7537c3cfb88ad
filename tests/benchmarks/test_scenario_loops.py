"""Scenarios measure what they say, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, repeat
from threading import Lock

import pytest

from stylepress.benchmarks.timing.loop import WallClock
from stylepress.benchmarks.timing.outcome import Length, Outcome, Setting
from stylepress.benchmarks.timing.scenarios import camera, run_scenario
from stylepress.errors import RecipeError
from tests.benchmarks.clockwork import MS, Clockwork, told

ONE = Length(min_s=0, min_count=1)


def a_stall(usual_ns: int, at: int) -> Iterator[int]:
    return chain(repeat(usual_ns, at), [1000 * MS], repeat(usual_ns))


def test_a_closed_loop_measures_the_service_time_and_nothing_else() -> None:
    clock = Clockwork()

    def slow_sample() -> None:
        clock.now += 7 * MS

    made = run_scenario(
        clock.system(2 * MS), slow_sample, Setting(name="single stream"), length=ONE, clock=clock
    )
    assert made.samples.response_ns == (2 * MS,)
    assert (made.measures, told(made, "latency p50").new) == ("service time", 2)


def test_a_run_is_as_long_as_seconds_and_samples_both_ask() -> None:
    clock = Clockwork()
    many = run_scenario(
        clock.system(MS),
        lambda: None,
        Setting(name="single stream"),
        length=Length(min_s=0.1, min_count=3),
        clock=clock,
    )
    few = run_scenario(
        clock.system(MS),
        lambda: None,
        Setting(name="single stream"),
        length=Length(min_s=0.1, min_count=300),
        clock=clock,
    )
    assert [len(one.samples.done) for one in (many, few)] == [100, 300]
    assert many.doubts == few.doubts == ()


def test_a_run_that_ends_before_its_length_says_so() -> None:
    clock = Clockwork()
    length = Length(min_s=5, min_count=100, most_s=10)
    made = run_scenario(
        clock.system(1000 * MS),
        lambda: None,
        Setting(name="single stream"),
        length=length,
        clock=clock,
    )
    assert made.doubts == ("it ended after 10 samples and 10.0 s, before 100 samples and 5 s",)


def test_one_stall_raises_p99_in_an_open_loop_and_hides_in_a_closed_one() -> None:
    length = Length(min_s=10, min_count=2000)

    def stalling(clock: Clockwork) -> Callable[[object], None]:
        times = a_stall(2 * MS, at=500)

        def run(sample: object) -> None:
            clock.now += next(times)

        return run

    clock = Clockwork()
    closed = run_scenario(
        stalling(clock), lambda: None, Setting(name="single stream"), length=length, clock=clock
    )
    clock = Clockwork()
    opened = run_scenario(
        stalling(clock),
        lambda: None,
        camera(200),
        length=length,
        clock=clock,
    )
    assert told(closed, "latency p99").new == 2
    assert told(opened, "latency p99").new is None
    assert told(opened, "latency p99").note == "none: 199 of 2000 never done"
    assert told(opened, "latency p50").new == 2


def test_a_harness_that_comes_late_does_not_count() -> None:
    clock = Clockwork(late_ns=MS // 2)
    length = Length(min_s=0, min_count=100)
    made = run_scenario(
        clock.system(5 * MS),
        lambda: None,
        camera(20),
        length=length,
        clock=clock,
    )
    assert made.late_p99_ms == 0.5
    assert "the harness was 0.5 ms late" in made.doubts[0]


def test_waking_up_a_twentieth_of_a_millisecond_late_counts_whatever_the_engine_takes() -> None:
    clock = Clockwork(late_ns=MS // 20)
    length = Length(min_s=0, min_count=100)
    made = run_scenario(
        clock.system(1 * MS),
        lambda: None,
        camera(20),
        length=length,
        clock=clock,
    )
    assert made.late_p99_ms == 0.05
    assert made.doubts == ()


def test_offline_tells_throughput_and_no_latency() -> None:
    clock = Clockwork()
    made = run_scenario(clock.system(5 * MS), lambda: None, Setting(name="offline"), clock=clock)
    (figure,) = made.figures
    assert figure.metric == "throughput"
    assert figure.new == pytest.approx(200)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_several_lanes_run_each_sample_once(lanes: int) -> None:
    seen: list[int] = []
    setting = Setting(name="offline", lanes=lanes)
    made = run_scenario(seen.append, count().__next__, setting, length=Length(min_s=0))
    assert sorted(seen) == list(range(100))
    assert len(made.samples.done) == 100


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_system_that_fails_ends_the_run(lanes: int) -> None:
    calls = count()
    lock = Lock()

    def run(sample: object) -> None:
        with lock:
            if next(calls) == 5:
                raise RecipeError("It broke. Mend it.")

    setting = Setting(name="offline", lanes=lanes)
    with pytest.raises(RecipeError, match="It broke"):
        run_scenario(run, lambda: None, setting, length=Length(min_s=0, min_count=10**6))
    assert next(calls) < 10**6


def test_quantiles_need_their_samples_and_name_the_reason() -> None:
    clock = Clockwork()

    def of(calls: int) -> Outcome:
        length = Length(min_s=0, min_count=calls)
        return run_scenario(
            clock.system(MS),
            lambda: None,
            Setting(name="single stream"),
            length=length,
            clock=clock,
        )

    for share, needed in ((0.9, 64), (0.95, 130), (0.99, 662)):
        metric = f"latency p{100 * share:g}"
        assert told(of(needed), metric).new == 1
        few = told(of(needed - 1), metric)
        assert (few.new, few.note) == (None, f"none: {needed - 1} of {needed} samples")


def test_a_run_lies_where_its_samples_say_on_the_machines_clock() -> None:
    clock = Clockwork()
    clock.now = 7 * MS
    made = [
        run_scenario(
            clock.system(2 * MS),
            lambda: None,
            Setting(name="single stream"),
            length=ONE,
            clock=clock,
        ),
        run_scenario(
            clock.system(2 * MS),
            lambda: None,
            camera(50),
            length=ONE,
            clock=clock,
        ),
        run_scenario(
            clock.system(2 * MS), lambda: None, Setting(name="offline"), length=ONE, clock=clock
        ),
    ]
    ends = [one.samples.start_ns + one.samples.done[-1] for one in made]
    assert [one.samples.start_ns for one in made] == [7 * MS, *ends[:2]]
    assert ends[0] == 9 * MS
    assert ends[-1] == clock.now


def test_the_real_clock_waits_until_the_time_asked_for() -> None:
    clock = WallClock()
    when = clock.now_ns() + 2 * MS
    clock.sleep_until_ns(when)
    assert clock.now_ns() >= when
    clock.sleep_until_ns(when)

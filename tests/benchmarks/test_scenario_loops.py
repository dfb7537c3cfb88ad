"""Scenarios measure what they say, with a clock that only the test moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, count, repeat
from statistics import mean
from threading import Barrier, Lock, current_thread, main_thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.timing.loop import Clock
from stylepress.benchmarks.timing.outcome import Length, Outcome, Setting
from stylepress.benchmarks.timing.scenarios import poisson_ns, run_scenario
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
    assert made.samples.service_ns == (2 * MS,)
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
        Setting(name="server", rate_hz=200, seed=1),
        length=length,
        clock=clock,
    )
    assert told(closed, "latency p99").new == 2
    assert (told(opened, "latency p99").new or 0) > 500
    assert (told(opened, "latency p50").new or 0) < 5


def test_waiting_at_a_server_follows_pollaczek_and_khinchine() -> None:
    clock = Clockwork()
    made = run_scenario(
        clock.system(6 * MS),
        lambda: None,
        Setting(name="server", rate_hz=100, seed=3),
        length=Length(min_s=0, min_count=40_000, most_s=1e4),
        clock=clock,
    )
    load = 0.6
    waiting_ms = load / (1 - load) * 6 / 2  # M/D/1
    assert mean(made.samples.response_ns) / MS == pytest.approx(6 + waiting_ms, rel=0.05)


@given(st.lists(st.integers(0, 9), min_size=1), st.integers(0, 5))
def test_response_times_follow_lindleys_recursion(services: list[int], seed: int) -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=len(services))
    made = run_scenario(
        clock.system(*(MS * one for one in services)),
        lambda: None,
        Setting(name="server", rate_hz=200, seed=seed),
        length=length,
        clock=clock,
    )
    free, expected = 0, []
    for due, service in zip(made.samples.scheduled, services, strict=True):
        free = max(free, due) + MS * service
        expected.append(free - due)
    assert list(made.samples.response_ns) == expected


def test_a_rate_that_cannot_be_kept_leaves_samples_and_does_not_count() -> None:
    clock = Clockwork()
    made = run_scenario(
        clock.system(20 * MS),
        lambda: None,
        Setting(name="server", rate_hz=100),
        length=Length(min_s=0, min_count=1000, most_s=5),
        clock=clock,
    )
    assert "still waited" in made.doubts[0]
    assert told(made, "latency p90").new is None
    assert "never done" in told(made, "latency p90").note


def test_samples_that_were_not_yet_due_at_the_end_are_not_counted_as_never_done() -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=100, most_s=80)
    made = run_scenario(
        clock.system(MS),
        lambda: None,
        Setting(name="server", rate_hz=1),
        length=length,
        clock=clock,
    )
    count = len(made.samples.done)
    assert 64 <= count < 100
    assert told(made, "latency p90").new == 1
    assert [doubt.split(",")[0] for doubt in made.doubts] == [
        f"it ended after {count} samples and {made.samples.seconds:.1f} s"
    ]
    assert made.samples.seconds < 80  # nor is one waited for that is due after the end


def test_a_harness_that_comes_late_does_not_count() -> None:
    clock = Clockwork(late_ns=MS // 2)
    length = Length(min_s=0, min_count=100)
    made = run_scenario(
        clock.system(5 * MS),
        lambda: None,
        Setting(name="server", rate_hz=20),
        length=length,
        clock=clock,
    )
    assert made.late_p99_ms == 0.5
    assert "the harness was 0.5 ms late" in made.doubts[0]


class Together(Clockwork):
    """A clock that lanes first read at the same time."""

    def __init__(self, lanes: int) -> None:
        super().__init__()
        self.met, self.seen = Barrier(lanes, timeout=30), {main_thread()}

    def now_ns(self) -> int:
        now = self.now
        if current_thread() not in self.seen:
            self.seen.add(current_thread())
            self.met.wait()
        return now


def test_waiting_for_the_sample_of_another_lane_is_the_harness_being_late() -> None:
    clock, both = Together(lanes=2), Barrier(2, timeout=30)

    def slow_sample() -> None:
        clock.now += 20 * MS

    made = run_scenario(
        lambda sample: both.wait(),  # so that no lane takes both samples
        slow_sample,
        Setting(name="server", rate_hz=1000, lanes=2),
        length=Length(min_s=0, min_count=2),
        clock=clock,
    )
    assert made.samples.late[1] == 40 * MS - made.samples.scheduled[1]


def test_waking_up_a_twentieth_of_a_millisecond_late_counts_whatever_the_engine_takes() -> None:
    clock = Clockwork(late_ns=MS // 20)
    length = Length(min_s=0, min_count=100)
    made = run_scenario(
        clock.system(1 * MS),
        lambda: None,
        Setting(name="server", rate_hz=20),
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
    numbers = count()
    made = run_scenario(
        seen.append,
        lambda: next(numbers),
        Setting(name="server", rate_hz=5000, lanes=lanes),
        length=Length(min_s=0, min_count=60),
    )
    assert sorted(seen) == list(range(60))
    assert len(made.samples.done) == 60
    batch = run_scenario(
        seen.append, lambda: 0, Setting(name="offline", lanes=lanes), length=Length(min_s=0)
    )
    assert 100 <= len(batch.samples.done) < 100 + lanes


@pytest.mark.parametrize("lanes", [1, 2])
def test_a_system_that_fails_ends_the_run(lanes: int) -> None:
    calls = count()
    lock = Lock()

    def run(sample: object) -> None:
        with lock:
            if next(calls) == 5:
                raise RecipeError("It broke. Mend it.")

    setting = Setting(name="server", rate_hz=5000, lanes=lanes)
    with pytest.raises(RecipeError, match="It broke"):
        run_scenario(run, lambda: None, setting, length=Length(min_s=0, min_count=5000))
    assert next(calls) < 1000


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


@given(st.integers(0, 99), st.floats(10, 1000))
def test_a_schedule_is_its_seed_and_rises(seed: int, rate_hz: float) -> None:
    one, again = (poisson_ns(rate_hz, seed=seed, min_s=0.1, min_count=50) for _ in range(2))
    assert one == again
    assert list(one) == sorted(one)
    assert len(one) >= 50
    assert one[-1] >= 1e8


def test_gaps_of_a_poisson_schedule_have_their_mean_and_deviation() -> None:
    arrivals = poisson_ns(100, seed=0, min_s=0, min_count=20_000)
    gaps = [after - before for before, after in zip((0, *arrivals), arrivals, strict=False)]
    # The mean of n exponentials deviates by 1 / sqrt(n) of itself, their second moment is 2 mean².
    assert mean(gaps) == pytest.approx(10 * MS, rel=5 / 20_000**0.5)
    assert mean(gap**2 for gap in gaps) == pytest.approx(2 * (10 * MS) ** 2, rel=0.08)


def test_a_schedule_that_fills_the_memory_is_refused() -> None:
    with pytest.raises(RecipeError, match="Ask for a lower rate"):
        poisson_ns(1e9, seed=0, min_s=10, min_count=1)


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
            Setting(name="server", rate_hz=50),
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
    clock = Clock()
    when = clock.now_ns() + 2 * MS
    clock.sleep_until_ns(when)
    assert clock.now_ns() >= when
    clock.sleep_until_ns(when)

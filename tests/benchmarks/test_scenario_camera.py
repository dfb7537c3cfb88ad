"""What a camera's queue drops, misses and shows, with a clock that only the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.timing.outcome import Length, Outcome, Setting
from stylepress.benchmarks.timing.scenarios import camera, run_scenario, setting_of
from tests.benchmarks.clockwork import MS, Clockwork, told


def test_frames_that_still_wait_at_the_end_were_offered_and_missed() -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=300, most_s=2)
    setting = camera(25, drop="none")
    made = run_scenario(clock.system(60 * MS), lambda: None, setting, length=length, clock=clock)
    # 34 are begun before 2 s are over; the last is done at 2.04 s, when the 52nd is due.
    assert told(made, "frames dropped").note == "0 of 52"
    late = sum(age > 40 * MS for age in made.samples.response_ns)
    assert told(made, "frames missed").note == f"{late + 18} of 52"


def test_a_camera_that_is_kept_up_with_shows_every_frame_in_time() -> None:
    clock = Clockwork()
    made = run_scenario(clock.system(10 * MS), lambda: None, camera(25), clock=clock)
    assert (told(made, "frames dropped").new, told(made, "frames missed").new) == (0, 0)
    assert told(made, "shown").new == pytest.approx(25)
    assert told(made, "jitter").new == pytest.approx(0, abs=1e-9)
    assert told(made, "latency p90").new == 10


def test_without_drops_frames_only_grow_older_and_with_drops_they_do_not() -> None:
    def ages(drop: str) -> tuple[int, ...]:
        clock = Clockwork()
        setting = camera(25, drop=drop, queue=1)
        length = Length(min_s=0, min_count=300)
        return run_scenario(
            clock.system(60 * MS), lambda: None, setting, length=length, clock=clock
        ).samples.response_ns

    assert ages("none")[-1] == 299 * 20 * MS + 60 * MS
    assert max(ages("oldest")) <= 100 * MS
    assert max(ages("newest")) <= 120 * MS


def test_a_third_of_the_frames_is_dropped_when_each_takes_one_and_a_half() -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=300)
    made = run_scenario(clock.system(60 * MS), lambda: None, camera(25), length=length, clock=clock)
    assert told(made, "frames dropped").new == pytest.approx(100 / 3, abs=1)
    assert told(made, "frames dropped").note.endswith("of 300")
    assert told(made, "latency p90").new is None
    assert told(made, "p90 of those shown").new is not None


def simulated(
    arrivals: list[int], services: list[int], room: int, drop: str
) -> tuple[list[tuple[int, int]], list[int]]:
    """Walk through time tick by tick: who is begun when, and who is dropped."""
    waiting: list[int] = []
    began, dropped, free, offered = [], [], 0, 0
    for now in range(arrivals[-1] + sum(services) + 1):
        while offered < len(arrivals) and arrivals[offered] == now:
            waiting.append(offered)
            offered += 1
            # A lane that is free takes a frame the moment it arrives.
            if free <= now and len(waiting) == 1:
                began.append((waiting.pop(0), now))
                free = now + services[len(began) - 1]
            elif drop != "none" and len(waiting) > room:
                dropped.append(waiting.pop(0 if drop == "oldest" else -1))
        if free <= now and waiting:
            began.append((waiting.pop(0), now))
            free = now + services[len(began) - 1]
    return began, dropped


@given(
    services=st.lists(st.integers(1, 13), min_size=12, max_size=12),
    room=st.integers(1, 3),
    drop=st.sampled_from(["oldest", "newest", "none"]),
)
def test_the_queue_does_what_a_walk_through_time_does(
    services: list[int], room: int, drop: str
) -> None:
    clock = Clockwork()
    # 4 ms a frame, services of quarter ticks off the grid, so that nothing ties.
    made = run_scenario(
        clock.system(*(MS * one + MS // 2 for one in services)),
        lambda: None,
        camera(250, queue=room, drop=drop),
        length=Length(min_s=0, min_count=12),
        clock=clock,
    )
    arrivals = [8 * number for number in range(12)]
    began, dropped = simulated(arrivals, [2 * one + 1 for one in services], room, drop)
    assert list(made.samples.dropped) == sorted(dropped)
    assert [2 * at // MS for at in made.samples.began] == [at for _, at in began]


def test_an_outcome_is_read_back_from_its_json() -> None:
    clock = Clockwork()
    made = run_scenario(clock.system(60 * MS), lambda: None, camera(25), clock=clock)
    assert Outcome.model_validate_json(made.model_dump_json()) == made


def test_what_a_user_says_of_a_camera_is_its_setting() -> None:
    usual = {"fps": 25, "queue": 1, "drop": "oldest", "deadline": None, "lanes": None}
    usual |= {"rate": 9, "seed": 3}
    own = {**usual, "queue": 3, "drop": "none", "deadline": 80}
    expected = camera(25, queue=3, drop="none", deadline_ms=80)
    assert setting_of("fixed-rate", own, cores=2) == expected
    assert setting_of("fixed-rate", usual, cores=2) == camera(25)
    assert setting_of("offline", own, cores=2) == Setting(name="offline", lanes=2)
    server = Setting(name="server", rate_hz=9, seed=3)
    assert setting_of("server", own, cores=2) == server

"""What a camera's queue drops, misses and shows, with a clock that only the test moves."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.timing.outcome import Length, Outcome, Setting
from stylepress.benchmarks.timing.scenarios import camera, run_scenario, setting_of
from stylepress.errors import RecipeError
from tests.benchmarks.clockwork import MS, Clockwork, told


def test_a_camera_that_is_kept_up_with_shows_every_frame_in_time() -> None:
    clock = Clockwork()
    made = run_scenario(clock.system(10 * MS), lambda: None, camera(25), clock=clock)
    assert (told(made, "frames dropped").new, told(made, "frames missed").new) == (0, 0)
    assert told(made, "shown").new == pytest.approx(25)
    assert told(made, "jitter").new == pytest.approx(0, abs=1e-9)
    assert told(made, "latency p90").new == 10


def test_a_third_of_the_frames_is_dropped_when_each_takes_one_and_a_half() -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=300)
    made = run_scenario(clock.system(60 * MS), lambda: None, camera(25), length=length, clock=clock)
    assert told(made, "frames dropped").new == pytest.approx(100 / 3, abs=1)
    assert told(made, "frames dropped").note.endswith("of 300")
    assert told(made, "latency p90").new is None
    assert told(made, "p90 of those shown").new is not None


@given(st.lists(st.integers(1, 13), min_size=12, max_size=12))
def test_a_frame_is_drawn_when_no_other_came_until_the_system_was_free(services: list[int]) -> None:
    clock, took = Clockwork(), [MS * one + MS // 2 for one in services]
    # 4 ms a frame, services of half ticks off the grid, so that nothing ties.
    made = run_scenario(
        clock.system(*took), lambda: None, camera(250), length=Length(min_s=0, min_count=12),
        clock=clock,
    )  # fmt: skip
    free, began, last = 0, [], -1
    for service in took:
        come = [number for number in range(last + 1, 12) if 4 * MS * number <= free]
        last = come[-1] if come else last + 1
        if last == 12:
            break
        began.append(max(free, 4 * MS * last))
        free = began[-1] + service
        if last == 11:
            break
    assert list(made.samples.began) == began
    assert made.samples.dropped == 12 - len(began)


def test_a_camera_that_outlasts_the_longest_run_says_so() -> None:
    clock = Clockwork()
    length = Length(min_s=0, min_count=300, most_s=2)
    made = run_scenario(clock.system(10 * MS), lambda: None, camera(25), length=length, clock=clock)
    assert made.doubts == ("it ended after 50 samples and 2.0 s, before 300 samples and 0 s",)
    assert made.samples.due_later == 250


def test_an_outcome_is_read_back_from_its_json() -> None:
    clock = Clockwork()
    made = run_scenario(clock.system(60 * MS), lambda: None, camera(25), clock=clock)
    assert Outcome.model_validate_json(made.model_dump_json()) == made


def test_what_a_user_says_of_a_camera_is_its_setting() -> None:
    usual = {"fps": 25, "deadline": None}
    assert setting_of("fixed-rate", {**usual, "deadline": 80}, cores=2).deadline_ms == 80
    assert setting_of("fixed-rate", usual, cores=2) == camera(25)
    assert setting_of("offline", usual, cores=2) == Setting(name="offline", lanes=2)
    with pytest.raises(RecipeError, match="single-stream, fixed-rate, offline"):
        setting_of("server", usual, cores=2)

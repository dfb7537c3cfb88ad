"""Many threads, one order; and an engine that takes a frame of any size."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylepress.errors import FrameError, VerificationError
from stylepress.picture import Pixels
from stylepress.runtime.media.lanes import MOST_LIGHT, Stages, Styling, ordered, padded
from tests.runtime.clips import Plain


def threads() -> int:
    """How many of the pool's threads live."""
    return sum(thread.name.startswith("stylepress") for thread in threading.enumerate())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 2), max_size=30), st.integers(1, 4), st.integers(1, 6))
def test_results_come_in_the_order_of_the_source(
    naps_ms: list[int], workers: int, ahead: int
) -> None:
    def work(item: tuple[int, int]) -> int:
        time.sleep(item[1] / 1000)
        return item[0]

    with ordered(iter(enumerate(naps_ms)), work, workers=workers, ahead=ahead) as results:
        assert list(results) == list(range(len(naps_ms)))
    assert threads() == 0


def test_the_source_is_read_no_further_ahead_than_allowed() -> None:
    taken, read = 0, 0

    def source() -> Iterator[int]:
        nonlocal read
        for number in range(50):
            read += 1
            yield number

    with ordered(source(), lambda number: number, workers=2, ahead=5) as results:
        for _ in results:
            time.sleep(0.001)
            assert read <= taken + 5 + 1
            taken += 1
    assert taken == 50


def test_light_items_take_no_room_from_those_that_are_worked_on() -> None:
    """Four workers, room for five: all are busy at once, though 16 packets lie between frames."""
    barrier = threading.Barrier(4)
    mixed = list(range(4 * 17))

    def work(number: int) -> int:
        if number % 17 == 0:
            barrier.wait(timeout=30)  # breaks unless four frames are in work together
        return number

    with ordered(
        iter(mixed), work, workers=4, ahead=5, light=lambda number: number % 17 != 0
    ) as results:
        assert list(results) == mixed


def test_light_items_are_read_ahead_only_so_far() -> None:
    taken, read = 0, 0

    def source() -> Iterator[int]:
        nonlocal read
        for number in range(3 * MOST_LIGHT):
            read += 1
            yield number

    with ordered(
        source(), lambda number: number, workers=2, ahead=5, light=lambda number: True
    ) as results:
        for _ in results:
            assert read <= taken + MOST_LIGHT + 2
            taken += 1
    assert taken == 3 * MOST_LIGHT


@pytest.mark.parametrize("place", ["source", "work"])
def test_an_exception_comes_in_its_place_and_ends_the_threads(place: str) -> None:
    def source() -> Iterator[int]:
        yield from range(7)
        if place == "source":
            raise FrameError("here")
        yield from range(7, 99)

    def work(number: int) -> int:
        if place == "work" and number == 7:
            raise FrameError("here")
        return number

    seen: list[int] = []
    with (
        pytest.raises(FrameError, match="here"),
        ordered(source(), work, workers=3, ahead=4) as results,
    ):
        seen.extend(results)
    assert threads() == 0
    assert seen == list(range(7))


def test_leaving_early_ends_the_threads_also_of_an_endless_source() -> None:
    def endless() -> Iterator[int]:
        while True:
            yield 1

    with ordered(endless(), lambda number: number, workers=2, ahead=3) as results:
        assert next(results) == 1
    assert threads() == 0


class Tiles(Plain):
    """An engine for sides from 16, that remembers the shapes it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.shapes: list[tuple[int, ...]] = []

    def styled(self, frame: Pixels, strength: float) -> Pixels:
        self.shapes.append(frame.shape)
        return np.asarray(frame * strength, np.uint8)


@pytest.mark.parametrize("shape", [(1, 1), (3, 40), (40, 3), (16, 16), (17, 31)])
def test_a_small_frame_is_continued_for_the_engine_and_cut_again(shape: tuple[int, int]) -> None:
    engine = Tiles()
    frame = np.random.default_rng(0).integers(0, 256, (*shape, 3), np.uint8)
    assert np.array_equal(Styling(engine, strength=1.0, least=16)(frame), frame)
    assert engine.shapes == [(1, max(shape[0], 16), max(shape[1], 16), 3)]
    assert Styling(engine, strength=0.0, least=16)(frame).max() == 0


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 12), st.integers(1, 4))
def test_padding_keeps_the_picture_and_repeats_its_edge(
    height: int, width: int, least: int, multiple: int
) -> None:
    frame = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    made = padded(frame, least, multiple=multiple)
    assert np.array_equal(made[:height, :width], frame)
    assert (made[height:, :width] == frame[-1]).all()
    assert min(made.shape[:2]) >= least
    assert made.shape[0] % multiple == made.shape[1] % multiple == 0


def test_an_engine_that_makes_another_shape_is_told_on() -> None:
    class Wrong(Plain):
        def styled(self, frame: Pixels, strength: float) -> Pixels:
            return frame[:, :-1]

    with pytest.raises(VerificationError, match=r"\(1, 4, 5, 3\)"):
        Styling(Wrong())(np.zeros((4, 5, 3), np.uint8))


def test_stages_add_up() -> None:
    ticks = iter(range(100))
    stages = Stages(lambda: float(next(ticks)))
    for _ in range(3):
        with stages.inside("encode"):
            pass
    assert stages.spent_s == {"encode": 3.0}

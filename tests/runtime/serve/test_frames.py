"""The frame path in parts: mixes, masks, smoothing, bounded hand-offs, shared memory."""

from __future__ import annotations

import threading
import time
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.picture import Pixels
from stylepress.runtime.serve.blend import fitted_mask, masked, mixed, smoothed
from stylepress.runtime.serve.config import Settings, StreamEntry
from stylepress.runtime.serve.ledger import balance
from stylepress.runtime.serve.outputs.line import ROOM, Line
from stylepress.runtime.serve.slots import (
    SLOTS,
    Sent,
    SlotMemory,
    SlotReader,
    SlotWriter,
    socket_pair,
)
from stylepress.runtime.serve.stream import Fade, Frame, Memory, Shown, Stream


def noise(seed: int, size: tuple[int, int] = (24, 32)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


@given(st.floats(0, 1))
def test_a_mix_is_the_weighted_mean_to_a_level(weight: float) -> None:
    one, two = noise(1), noise(2)
    wanted = one * (1 - weight) + two * weight
    assert np.abs(mixed([one, two], [1 - weight, weight]) - wanted).max() <= 1.5


def test_a_mix_of_equal_pictures_is_that_picture() -> None:
    one = noise(1)
    np.testing.assert_array_equal(mixed([one] * 3, [0.2, 0.3, 0.5]), one)


def test_a_mask_takes_all_or_nothing_at_its_ends() -> None:
    before, after = noise(1), noise(2)
    np.testing.assert_array_equal(masked(before, after, np.zeros((24, 32), np.uint8)), before)
    np.testing.assert_array_equal(masked(before, after, np.full((24, 32), 255, np.uint8)), after)
    assert fitted_mask(np.eye(8, dtype=np.uint8) * 255, (24, 32)).shape == (24, 32)


def test_smoothing_damps_flicker_where_nothing_moves_and_follows_where_something_does() -> None:
    still, moved, memory = noise(1), noise(1), Memory()
    moved[:12] = noise(3)[:12]
    calm = np.full_like(still, 100)
    smoothed(still, calm, memory, 0.9)
    flicker = smoothed(still, calm + 50, memory, 0.9)
    assert flicker.max() <= 106  # a tenth of the change
    followed = smoothed(moved, calm + 50, memory, 0.9)
    assert followed[:8].min() >= 145
    assert followed[20:].max() <= 112


def test_a_fade_goes_from_one_style_to_the_other_and_always_sums_to_one() -> None:
    fade = Fade({"a": 1.0}, {"b": 1.0}, begin_s=10.0, seconds=4.0)
    assert (fade.weights(9), fade.weights(14)) == ({"a": 1.0}, {"b": 1.0})
    assert fade.weights(11) == {"a": 0.75, "b": 0.25}


def test_a_newer_frame_takes_the_place_of_one_that_waits_and_gives_its_memory_back() -> None:
    back: list[int] = []
    stream = Stream("a", StreamEntry(input="test://"), "s", lambda: None)
    for number in range(3):
        stream.put(Frame(number, time.monotonic_ns(), noise(0), partial(back.append, number)))
    frame = stream.take()
    assert frame is not None
    assert (frame.number, back) == (2, [0, 1])
    stream.publish(frame, noise(1), "s")
    stream.put(Frame(3, time.monotonic_ns() - 10**10, noise(0), lambda: back.append(3)))
    assert stream.take() is None  # ten seconds old
    facts = stream.ledger.facts()
    assert back == [0, 1, 2, 3]
    assert facts["dropped"] == {"superseded": 2, "stale": 1}
    assert (facts["published"], balance(facts)) == (1, 0)


def test_a_change_of_style_begins_where_the_last_fade_is() -> None:
    stream = Stream("a", StreamEntry(input="test://"), "glass", lambda: None)
    stream.change(Settings(style="wood"), fade_s=1000.0)
    now = stream.fade.weights(time.monotonic())
    stream.change(Settings(style="glass"), fade_s=0.0)
    assert now["glass"] > 0.99
    assert stream.fade.weights(time.monotonic()) == {"glass": 1.0}


def test_an_output_that_hangs_drops_the_oldest_and_counts_it() -> None:
    stuck, written = threading.Event(), list[int]()

    class Slow:
        def write(self, pixels: Pixels, captured_ns: int) -> None:
            stuck.wait(60)
            written.append(captured_ns)

        def close(self) -> None:
            """Do nothing."""

    line = Line("slow", Slow, "a")
    for number in range(1, 31):
        line.offer(Shown(number, number, noise(0)))
    facts = line.facts()
    assert facts["dropped"]["queue_full"] >= 30 - ROOM - 1
    assert facts["offered"] == sum(facts["dropped"].values()) + facts["waiting"]
    stuck.set()
    line.close()
    facts = line.facts()
    assert written[-1] == 30
    assert facts["offered"] == facts["delivered"] + sum(facts["dropped"].values())


def test_an_output_that_fails_is_opened_again_and_the_daemon_goes_on() -> None:
    opened: list[int] = []

    class Failing:
        def write(self, pixels: Pixels, captured_ns: int) -> None:
            raise OSError(28, "No space left on device")

        def close(self) -> None:
            raise OSError(28, "No space left on device")

    def opener() -> Failing:
        opened.append(1)
        return Failing()

    line = Line("full", opener, "a")
    for number in range(1, 4):
        line.offer(Shown(number, 0, noise(0)))
    line.close()
    facts = line.facts()
    assert facts["delivered"] == 0
    assert facts["dropped"] == {"output_error": 1, "output_away": 2}
    assert (facts["trouble"], len(opened)) == ("No space left on device", 1)


def test_frames_cross_processes_without_a_copy_and_slots_come_back() -> None:
    memory = SlotMemory(1024)
    ours, theirs = socket_pair()
    reader, writer = SlotReader(memory, ours), SlotWriter(SlotMemory(1024, memory.file), theirs)
    for number in range(SLOTS + 2):
        writer.write(np.full((4, 5, 3), number, np.uint8), 7)
    sent = [reader.receive(1.0) for _ in range(SLOTS)]
    assert all(isinstance(message, Sent) for message in sent)
    assert writer.crowded == 2  # nobody gave a slot back
    first = sent[0]
    assert isinstance(first, Sent)
    assert reader.memory.frame(first.slot, 4, 5)[0, 0, 0] == 0
    reader.release(first.slot)
    writer.write(noise(1, (4, 5)), 8)
    again = reader.receive(1.0)
    assert isinstance(again, Sent)
    assert (again.slot, again.crowded, again.number) == (first.slot, 2, SLOTS + 3)
    assert writer.slot() is None  # the last frame of all
    writer.tell("ended")
    assert reader.receive(1.0) == {"event": "ended", "crowded": 3, "corrupt": 0}
    for height, width in ((0, 5), (33, 32)):
        with pytest.raises(ValueError, match="slot"):
            memory.frame(0, height, width)
    theirs.close()
    with pytest.raises(EOFError):
        reader.receive(1.0)
    reader.close()


def test_what_a_source_says_last_arrives_though_it_never_read_the_slots_given_back() -> None:
    memory = SlotMemory(1024)
    ours, theirs = socket_pair()
    reader, writer = SlotReader(memory, ours), SlotWriter(SlotMemory(1024, memory.file), theirs)
    writer.write(noise(0, (4, 5)), 7)
    writer.tell("ended")
    frame = reader.receive(1.0)
    assert isinstance(frame, Sent)
    reader.release(frame.slot)
    theirs.close()  # with that slot unread, which Linux calls a reset
    assert reader.receive(1.0) == {"event": "ended", "crowded": 0, "corrupt": 0}
    with pytest.raises(EOFError):
        reader.receive(1.0)
    reader.close()

"""Frames through an engine: several at once, in order, never more than a few in memory."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from stylepress.errors import BackendError, VerificationError

if TYPE_CHECKING:
    from stylepress.picture import Pixels
    from stylepress.runtime.backends import Engine

STRENGTH = "strength"
"""The control that says how much of the style to apply, where a graph has it."""
MOST_LIGHT = 1024
"""Packets of sound and the like that wait for their turn, at most."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Clocks:
    """Where time is read from: seconds that passed, and seconds of processor that were used."""

    wall: Callable[[], float] = time.perf_counter
    processor: Callable[[], float] = time.process_time


class Stages:
    """Sum up how long threads are inside each stage, in seconds of wall time."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Take the clock to read."""
        self.spent_s: dict[str, float] = {}
        self._clock = clock
        self._lock = threading.Lock()

    @contextmanager
    def inside(self, stage: str) -> Iterator[None]:
        """Count the time of the block; blocks of several threads add up."""
        begun = self._clock()
        try:
            yield
        finally:
            took = self._clock() - begun
            with self._lock:
                self.spent_s[stage] = self.spent_s.get(stage, 0.0) + took


class Styling:
    """An engine with the strength that was asked for, taking one frame of any size at a time."""

    def __init__(
        self,
        engine: Engine,
        *,
        strength: float = 1.0,
        least: int = 1,
        style: Mapping[str, Any] | None = None,
        beside: Callable[[tuple[int, int]], Mapping[str, Any]] | None = None,
    ) -> None:
        """Take the engine, how much of the style to apply (0..1), and its smallest side in px.

        ``style`` feeds what else the graph takes: a style's code, by port name. ``beside`` returns
        what goes with a frame of a size (height, width): a mask, a control picture.
        """
        self.engine = engine
        self.strength = strength
        self.least = least
        graph = engine.graph
        if graph.picture is None or graph.picture_out is None:
            raise BackendError(
                "This graph maps no picture to a picture, so it cannot stylize one.",
                "Name a bundle that holds a frame graph.",
            )
        self._source, self._sink = graph.picture.name, graph.picture_out.name
        offered = {port.name for port in graph.controls}
        self._feeds: dict[str, Any] = {STRENGTH: strength} if STRENGTH in offered else {}
        self._feeds |= style or {}
        self._beside = beside

    def __call__(self, frame: Pixels) -> Pixels:
        """Return the stylized frame: (H, W, 3) uint8 RGB in and out, any H and W from 1.

        A frame smaller than the engine takes is continued by its edge pixels, and cut again.
        """
        height, width = frame.shape[:2]
        batch = np.ascontiguousarray(padded(frame, self.least))[None]
        feeds = self._feeds | {self._source: batch}
        if self._beside is not None:
            feeds |= self._beside((batch.shape[1], batch.shape[2]))
        styled = self.engine.run(feeds)[self._sink]
        if styled.shape != batch.shape or styled.dtype != np.uint8:
            raise VerificationError(
                f"The engine made {styled.dtype} {styled.shape} of a uint8 {batch.shape} frame.",
                "Build the bundle again with `stylepress build`.",
            )
        return styled[0, :height, :width]


def padded(frame: Pixels, least: int, *, multiple: int = 1) -> Pixels:
    """Continue the right and lower edge until both sides are ``least`` and a ``multiple``.

    >>> padded(np.zeros((5, 1, 3), np.uint8), 4, multiple=2).shape
    (6, 4, 3)
    """
    height, width = frame.shape[:2]
    down, right = (-(-max(side, least) // multiple) * multiple - side for side in (height, width))
    if not down and not right:
        return frame
    return np.pad(frame, ((0, down), (0, right), (0, 0)), mode="edge")


@contextmanager
def ordered(
    source: Iterator[Item],
    work: Callable[[Item], Result],
    *,
    workers: int,
    ahead: int,
    light: Callable[[Item], bool] = lambda item: False,
) -> Iterator[Iterator[Result]]:
    """Yield ``work(item)`` of every item, in the order of ``source``, made by several threads.

    ``source`` is read in a thread of its own, at most ``ahead`` items before the one that is
    taken. Items that are ``light`` need hardly any work: the reading thread does it, and up to
    ``MOST_LIGHT`` of them wait beside the others, so that they take no room from those. The first
    exception of ``source`` or ``work`` is raised in its place in the order. Leaving the block ends
    every thread, also when items are left over.
    """
    line: queue.SimpleQueue[tuple[Future[Result], threading.Semaphore] | None] = queue.SimpleQueue()
    heavy_room, light_room = threading.Semaphore(ahead), threading.Semaphore(MOST_LIGHT)
    left = threading.Event()

    def read() -> None:
        try:
            for item in source:
                room = light_room if light(item) else heavy_room
                room.acquire()
                if left.is_set():
                    return
                if room is light_room:
                    future = Future[Result]()
                    future.set_result(work(item))
                else:
                    future = pool.submit(work, item)
                line.put((future, room))
        finally:
            line.put(None)

    def results() -> Iterator[Result]:
        while (entry := line.get()) is not None:
            future, room = entry
            yield future.result()
            room.release()
        reading.result()

    # One more thread than workers: the reader is the first to be submitted, and stays.
    with ThreadPoolExecutor(workers + 1, thread_name_prefix="stylepress-lane") as pool:
        reading = pool.submit(read)
        try:
            yield results()
        finally:
            left.set()
            heavy_room.release()
            light_room.release()
            wait([reading])
            pool.shutdown(wait=True, cancel_futures=True)

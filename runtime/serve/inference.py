"""The one thread that runs engines: newest frames of streams, and requests, in fair turns."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from stylepress.errors import StylepressError
from stylepress.runtime.serve.stream import Frame, Stream
from stylepress.runtime.serve.stylist import NotReadyError, Plan, Stylist

IDLE_S = 0.25
COMPLAIN_S = 10.0

log = logging.getLogger("stylepress.serve.inference")
Batch = list[tuple[Plan, Frame]]


class Requests(Protocol):
    """A queue of requests that run on the same thread."""

    def waits(self) -> bool:
        """Whether one is there."""

    def run_next(self) -> None:
        """Answer one batch of them."""


class Inference(threading.Thread):
    """Takes the newest frame of the stream that was served longest ago, and what fits beside it."""

    def __init__(
        self, stylist: Stylist, streams: Mapping[str, Stream], *, requests: Requests | None = None
    ) -> None:
        super().__init__(name="inference", daemon=True)
        self.stylist, self.streams, self.requests = stylist, streams, requests
        self.heartbeat_s = time.monotonic()
        self.batches: dict[int, int] = {}
        self.busy_s = 0.0
        self.on_busy: Callable[[float], None] = lambda seconds: None
        self._ready = threading.Condition()
        self._left = False
        self._complained_s = 0.0

    def wake(self) -> None:
        """Tell the thread that there is work."""
        with self._ready:
            self._ready.notify()

    def run(self) -> None:
        """Work until ``stop``."""
        turn = 0
        while not self._left:
            self.heartbeat_s = time.monotonic()
            waiting = [s for s in tuple(self.streams.values()) if s.waits]
            asked = self.requests is not None and self.requests.waits()
            if not waiting and not asked:
                with self._ready:
                    if not self._has_work():
                        self._ready.wait(IDLE_S)
                continue
            if not asked and (pause_s := self._pause(waiting)) > 0:
                with self._ready:
                    self._ready.wait(pause_s)
                if len([s for s in tuple(self.streams.values()) if s.waits]) > len(waiting):
                    continue  # more came: perhaps all are there
                waiting = [s for s in waiting if s.waits]
            turn += 1
            begun = time.perf_counter()
            if asked and (not waiting or turn % 2):
                assert self.requests is not None
                self.requests.run_next()
            else:
                self._serve(waiting)
            took = time.perf_counter() - begun
            self.busy_s += took
            self.on_busy(took)

    def stop(self, timeout_s: float = 5.0) -> None:
        """End after what is under way."""
        self._left = True
        self.wake()
        if self.is_alive():
            self.join(timeout_s)

    def _has_work(self) -> bool:
        if self._left or any(stream.waits for stream in tuple(self.streams.values())):
            return True
        return self.requests is not None and self.requests.waits()

    def _pause(self, waiting: list[Stream]) -> float:
        """Say how long the others are waited for: until the oldest frame is half a period old."""
        most = self.stylist.engines.most or 1
        live = sum(stream.state == "live" for stream in tuple(self.streams.values()))
        if len(waiting) >= min(most, live):
            return 0.0
        return min(0.5 * stream.period_s - stream.waiting_s for stream in waiting)

    def _serve(self, waiting: list[Stream]) -> None:
        waiting.sort(key=lambda stream: stream.served_s)
        work: Batch = []
        for stream in waiting:
            if work and not self._fits(work):
                break
            frame = stream.take()
            if frame is None:
                continue
            stream.served_s = time.monotonic()
            plan = self._planned(stream, frame)
            if plan is None:
                continue
            if work and plan.key != work[0][0].key:
                self._run([(plan, frame)])  # of another engine: by itself, but not thrown away
                continue
            work.append((plan, frame))
        if work:
            self._run(work)

    def _fits(self, work: Batch) -> bool:
        plan = work[0][0]
        if plan.key is None:
            return False
        return len(work) < self.stylist.engines.batch_of(plan.parts[0].engine, plan.stream.size)

    def _planned(self, stream: Stream, frame: Frame) -> Plan | None:
        try:
            return self.stylist.plan(stream, frame)
        except NotReadyError:
            stream.drop(frame, "loading")
        except StylepressError as error:
            self._complain(stream, error)
            stream.drop(frame, "engine")
        return None

    def _run(self, work: Batch) -> None:
        try:
            pictures = self.stylist.run(work)
        except Exception as error:  # noqa: BLE001 - one frame is lost, the daemon goes on
            for plan, frame in work:
                self._complain(plan.stream, error)
                plan.stream.drop(frame, "engine")
            return
        self.batches[len(work)] = self.batches.get(len(work), 0) + 1
        for (plan, frame), pixels in zip(work, pictures, strict=True):
            plan.stream.publish(frame, pixels, plan.style)

    def _complain(self, stream: Stream, error: Exception) -> None:
        now = time.monotonic()
        if now - self._complained_s > COMPLAIN_S:
            self._complained_s = now
            log.error("a frame cannot be stylized: %s", error, extra={"stream": stream.name})

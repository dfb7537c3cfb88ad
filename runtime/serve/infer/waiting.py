"""Requests that wait for the inference thread, put together when they fit, and their statistics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from stylepress.runtime.backends import Engine
from stylepress.runtime.feeds import Array
from stylepress.runtime.serve.config import Batching

Failure = Literal["REJECTED", "CANCELED", "BACKEND", "OTHER"]
PARTS = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")


class FullError(Exception):
    """The queue has no room."""


class TooLateError(Exception):
    """The request waited longer than it may."""


@dataclass(slots=True, eq=False)
class InferRequest:
    """One request: feeds for an engine, and whom to tell; ``limit_s`` is how long it may wait."""

    model: str
    engine: Engine
    feeds: Mapping[str, Array]
    most: int
    limit_s: float
    done: Callable[[Mapping[str, Array] | Exception], None]
    rows: int = 1
    begun_ns: int = field(default_factory=time.monotonic_ns)
    cancelled: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """What requests must have in common to run together."""
        shapes = tuple((name, array.shape[1:]) for name, array in sorted(self.feeds.items()))
        return id(self.engine), self.model, shapes


@dataclass(slots=True)
class Statistics:
    """What the protocol's statistics say of one model; times in ns, cumulative."""

    counts: Counter[str] = field(default_factory=Counter)
    times_ns: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    batches: Counter[int] = field(default_factory=Counter)
    batch_ns: Counter[int] = field(default_factory=Counter)
    images: int = 0
    runs: int = 0
    last_ms: int = 0

    def record(self) -> dict[str, Any]:
        """Return them as the protocol's JSON."""
        parts = {
            part: {"count": self.counts[part], "ns": self.times_ns[part]}
            for part in (*PARTS, "cache_hit", "cache_miss")
        }
        zero = {"count": 0, "ns": 0}
        batches = [
            {
                "batch_size": size,
                "compute_input": zero | {"count": count},
                "compute_infer": {"count": count, "ns": self.batch_ns[size]},
                "compute_output": zero | {"count": count},
            }
            for size, count in sorted(self.batches.items())
        ]
        return {
            "last_inference": self.last_ms,
            "inference_count": self.images,
            "execution_count": self.runs,
            "inference_stats": parts,
            "batch_stats": batches,
        }


class Waiting:
    """The queue: bounded, in order of arrival, safe from any thread."""

    def __init__(self, batching: Batching, wake: Callable[[], None]) -> None:
        self.batching = batching
        self.statistics: dict[str, Statistics] = {}
        self._wake = wake
        self._queue: deque[InferRequest] = deque()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._queue)

    def waits(self) -> bool:
        """Whether a request is there."""
        return bool(self._queue)

    def put(self, request: InferRequest) -> None:
        """Let a request wait.

        Raises:
            FullError: there is no room.
        """
        with self._lock:
            if len(self._queue) >= self.batching.max_queue_size:
                self.fail(request, "REJECTED")
                raise FullError
            self._queue.append(request)
        self._wake()

    def cancel(self, request: InferRequest) -> None:
        """Forget a request whose client is gone; one that runs already runs to its end."""
        request.cancelled = True

    def run_next(self) -> None:
        """Run the oldest request, with those behind it that fit; in the inference thread."""
        batch = self._batch()
        if not batch:
            return
        begun_ns = time.monotonic_ns()
        try:
            feeds = _together(batch)
            fed_ns = time.monotonic_ns()
            results = batch[0].engine.run(feeds)
            ran_ns = time.monotonic_ns()
        except Exception as error:  # noqa: BLE001 - it goes to whoever asked
            for request in batch:
                self.fail(request, "BACKEND")
                request.done(error)
            return
        row, answers = 0, []
        for request in batch:
            rows = slice(row, row + request.rows)
            row += request.rows
            answers.append({name: array[rows] for name, array in results.items()})
        # Counted first, so that no client can ask for statistics in which it is missing.
        self._count(batch, (begun_ns, fed_ns, ran_ns, time.monotonic_ns()))
        for request, answer in zip(batch, answers, strict=True):
            request.done(answer)

    def fail(self, request: InferRequest, reason: Failure) -> None:
        """Count a request that got no answer."""
        known = self.of(request.model)
        known.failures[reason] += 1
        known.counts["fail"] += 1
        known.times_ns["fail"] += time.monotonic_ns() - request.begun_ns

    def of(self, model: str) -> Statistics:
        """Return the statistics of a model."""
        return self.statistics.setdefault(model, Statistics())

    def _batch(self) -> list[InferRequest]:
        until_s = time.monotonic() + self.batching.delay_ms / 1e3
        batch: list[InferRequest] = []
        while True:
            with self._lock:
                self._gather(batch)
            rows = sum(request.rows for request in batch)
            if not batch or rows >= batch[0].most or time.monotonic() >= until_s:
                return batch
            time.sleep(0.0002)

    def _gather(self, batch: list[InferRequest]) -> None:
        """Move what fits from the queue into the batch; what is cancelled or late goes away."""
        rows = sum(request.rows for request in batch)
        left: deque[InferRequest] = deque()
        now_ns = time.monotonic_ns()
        while self._queue:
            request = self._queue.popleft()
            if request.cancelled:
                self.fail(request, "CANCELED")
            elif (now_ns - request.begun_ns) / 1e9 > request.limit_s:
                self.fail(request, "REJECTED")
                request.done(TooLateError())
            elif not batch or (
                request.key == batch[0].key and rows + request.rows <= batch[0].most
            ):
                batch.append(request)
                rows += request.rows
                if rows >= batch[0].most:
                    break
            else:
                left.append(request)
        self._queue.extendleft(reversed(left))

    def _count(self, batch: list[InferRequest], times_ns: tuple[int, int, int, int]) -> None:
        begun, fed, ran, done = times_ns
        known, rows = self.of(batch[0].model), sum(request.rows for request in batch)
        for request in batch:
            known.counts["success"] += 1
            known.times_ns["success"] += done - request.begun_ns
            spent = {
                "queue": begun - request.begun_ns, "compute_input": fed - begun,
                "compute_infer": ran - fed, "compute_output": done - ran,
            }  # fmt: skip
            for part, took in spent.items():
                known.counts[part] += 1
                known.times_ns[part] += took
        known.images += rows
        known.runs += 1
        known.batches[rows] += 1
        known.batch_ns[rows] += ran - fed
        known.last_ms = int(time.time() * 1000)


def _together(batch: list[InferRequest]) -> Mapping[str, Array]:
    if len(batch) == 1:
        return batch[0].feeds
    names = {name for request in batch for name in request.feeds}
    return {name: np.concatenate([request.feeds[name] for request in batch]) for name in names}

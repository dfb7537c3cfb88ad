"""A bounded queue before a writer: what does not fit is dropped and counted, nobody waits."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from stylepress.errors import StylepressError
from stylepress.picture import Pixels
from stylepress.runtime.serve.address import redacted
from stylepress.runtime.serve.stream import Shown

ROOM = 8
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
CLOSE_S = 2.5

log = logging.getLogger("stylepress.serve.output")


class Writer(Protocol):
    """A place that frames are written to, one after the other, by one thread."""

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Write (H, W, 3) uint8 RGB that was captured then, of the monotonic clock."""

    def close(self) -> None:
        """Finish; what was written stays usable."""


class Line:
    """The queue and the thread of one output; a writer that fails is opened again and again."""

    def __init__(self, name: str, opener: Callable[[], Writer], stream: str) -> None:
        """``opener`` opens the writer, in the thread."""
        self.name, self.stream = name, stream
        self.offered = self.delivered = 0
        self.dropped: Counter[str] = Counter()
        self.trouble = ""
        self._opener = opener
        self._queue: deque[Shown] = deque()
        self._ready = threading.Condition()
        self._left = False
        self._writing = 0
        self._thread = threading.Thread(target=self._work, name=f"output {name}", daemon=True)
        self._thread.start()

    def offer(self, shown: Shown) -> None:
        """Take a frame; the oldest gives way when there is no room."""
        with self._ready:
            if self._left:
                return
            self.offered += shown.number > 0
            if len(self._queue) >= ROOM:
                old = self._queue.popleft()
                self.dropped["queue_full"] += old.number > 0
            self._queue.append(shown)
            self._ready.notify()

    def facts(self) -> dict[str, Any]:
        """Return the counts; offered = delivered + dropped + waiting."""
        with self._ready:
            waiting = sum(shown.number > 0 for shown in self._queue) + self._writing
            return {
                "offered": self.offered,
                "delivered": self.delivered,
                "dropped": {reason: count for reason, count in self.dropped.items() if count},
                "waiting": waiting,
                "trouble": self.trouble,
            }

    def close(self) -> None:
        """Write what waits and finish, in a bounded time."""
        with self._ready:
            self._left = True
            self._ready.notify()
        self._thread.join(CLOSE_S)

    def _work(self) -> None:
        writer: Writer | None = None
        failures, again_s = 0, 0.0
        while (shown := self._next()) is not None:
            reason = ""
            try:
                if writer is None and time.monotonic() >= again_s:
                    writer = self._opener()
                if writer is None:
                    reason = "output_away"
                else:
                    writer.write(shown.pixels, shown.captured_ns)
                    failures, self.trouble = 0, ""
            except (OSError, StylepressError, ValueError, RuntimeError) as error:
                reason = "output_error"
                again_s = time.monotonic() + RETRY_S[min(failures, len(RETRY_S) - 1)]
                failures += 1
                self._complain(error)
                _close(writer)
                writer = None
            with self._ready:
                self._writing = 0
                if shown.number and reason:
                    self.dropped[reason] += 1
                elif shown.number:
                    self.delivered += 1
        _close(writer)

    def _next(self) -> Shown | None:
        with self._ready:
            while not self._queue and not self._left:
                self._ready.wait()
            if not self._queue:
                return None
            shown = self._queue.popleft()
            self._writing = int(shown.number > 0)
            return shown

    def _complain(self, error: Exception) -> None:
        text = redacted(str(getattr(error, "strerror", "") or error))
        if text != self.trouble:
            log.error("%s: %s", self.name, text, extra={"stream": self.stream})
        self.trouble = text


def _close(writer: Writer | None) -> None:
    with suppress(OSError, StylepressError, ValueError, RuntimeError):  # it was complained of
        if writer is not None:
            writer.close()

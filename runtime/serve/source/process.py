"""The process of one source: opens its input, fills slots with RGB frames, ends when it is lost."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from stylepress.runtime.serve.slots import SlotMemory, SlotWriter

READERS: Mapping[str, str] = {
    "file": "stylepress.runtime.serve.source.film",
    "rtsp": "stylepress.runtime.serve.source.film",
    "mjpeg": "stylepress.runtime.serve.source.film",
    "v4l2": "stylepress.runtime.serve.source.film",
    "csi": "stylepress.runtime.serve.source.gst",
    "test": "stylepress.runtime.serve.source.pattern",
}
PR_SET_PDEATHSIG = 1
REASON_LIMIT = 300


def main() -> None:
    """Run a source: the wish comes as JSON on stdin, memory and socket by file descriptor."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group
    wish: dict[str, Any] = json.load(sys.stdin)
    if os.getppid() != wish["parent"]:
        return
    limit = int(wish["memory_mb"]) << 20
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = SlotMemory(int(wish["limit_pixels"]), int(wish["memory"]))
    writer = SlotWriter(memory, socket.socket(fileno=int(wish["line"])))
    # Imported before anyone waits for it, so that a camera that is back is shown at once.
    by_gstreamer = wish["decoder"] == "gstreamer" and wish["kind"] in ("rtsp", "file")
    read = import_module(READERS["csi" if by_gstreamer else wish["kind"]]).read
    writer.wait_for_go()
    try:
        read(wish, writer)
        writer.tell("ended")
    except BrokenPipeError:
        return
    except Exception as error:  # noqa: BLE001 - whatever it is, it costs this stream only
        writer.tell("lost", reason=_reason(error))


class Pace:
    """Hold frames back until they are due, and drop those above a rate."""

    def __init__(self, fps: float | None) -> None:
        """Take the highest rate that is wanted."""
        self._gap_s = 0.0 if fps is None else 1 / fps
        self._next_s = float("-inf")
        self._begin_s: float | None = None

    def wait(self, shown_s: float) -> None:
        """Sleep until the frame that is shown at ``shown_s`` is due."""
        now = time.monotonic()
        if self._begin_s is None or now - self._begin_s - shown_s > 1.0:
            self._begin_s = now - shown_s  # the first one, or hopelessly late: begin anew
        time.sleep(max(0.0, self._begin_s + shown_s - now))

    def admits(self) -> bool:
        """Whether the next frame may pass, by the rate."""
        now = time.monotonic()
        if now < self._next_s - 0.25 * self._gap_s:
            return False
        self._next_s = max(self._next_s + self._gap_s, now)
        return True


def _reason(error: Exception) -> str:
    text = str(getattr(error, "strerror", "") or error).splitlines() or [type(error).__name__]
    return text[0][:REASON_LIMIT]


if __name__ == "__main__":
    main()

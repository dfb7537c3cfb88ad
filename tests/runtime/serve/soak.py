"""The daemon for many minutes with a fault every few seconds: memory, restarts, unaccounted frames.

``python -m tests.runtime.serve.soak --minutes 30``, from the root of a checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import Daemon, camera, free_port, running

FAULT_S, SAMPLE_S = 20.0, 2.0
WARM_UP = 0.4
"""The first part of the time does not count for the slope: caches and pools fill."""
CAMERA_AWAY_S = 4.0


class Cameras:
    """The IP camera that faults happen to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._context: Any = None
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it."""
        self._context = camera(self.port, size=(160, 120), fps=10)
        self.process = self._context.__enter__()

    def stop(self) -> None:
        """Kill it."""
        self._context.__exit__(None, None, None)


def faults(daemon: Daemon, cameras: Cameras) -> list[Callable[[], None]]:
    """Return the faults, one function each."""

    def killed() -> None:
        cameras.stop()
        time.sleep(CAMERA_AWAY_S)
        cameras.start()

    def frozen() -> None:
        assert cameras.process is not None
        cameras.process.send_signal(signal.SIGSTOP)
        time.sleep(CAMERA_AWAY_S)
        cameras.process.send_signal(signal.SIGCONT)

    def source_crashed() -> None:
        for child in _children(daemon.process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)

    def slow_viewer() -> None:
        with socket.create_connection(_place(daemon)) as line:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(b"GET /streams/test.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            time.sleep(CAMERA_AWAY_S)

    def viewer_gone() -> None:
        for _ in range(10):
            with socket.create_connection(_place(daemon)) as line:
                line.sendall(b"GET /streams/cam.mjpeg HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
                line.recv(2048)

    def nonsense() -> None:
        for size in (1, 100, 5000):
            with socket.create_connection(_place(daemon)) as line:
                line.sendall(os.urandom(size) + b"\r\n\r\n")
                line.settimeout(2)
                with suppress(OSError):
                    line.recv(4096)

    def switched() -> None:
        for style in ("woodcut", "glass"):
            wish = {"style": style, "fade_s": 1.0, "smoothing": 0.5}
            daemon.ask("PATCH", "/api/v1/streams/test", wish)
            time.sleep(1)

    def reloaded() -> None:
        daemon.process.send_signal(signal.SIGHUP)

    return [killed, frozen, source_crashed, slow_viewer, viewer_gone, nonsense, switched, reloaded]


def soak(minutes: float, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Run the daemon with faults; return what was measured."""
    port, recipes = free_port(), Path("recipes").resolve()
    styles = {
        name: {"bundle": str(recipes / name / "bundle"), "backend": "openvino"}
        for name in ("glass", "woodcut")
    }
    values = {
        "styles": styles,
        "defaults": {"size": "160x120", "timeout_s": 2.0, "fps": 10, "segment_s": 60, "keep_gb": 0.05},
        "streams": {
            "cam": {"input": f"rtsp://127.0.0.1:{port}/cam", "outputs": [str(folder / "film")]},
            "test": {"input": "test://"},
        },
    }  # fmt: skip
    cameras, dice = Cameras(port), random.Random(0)
    with running(folder, values, MALLOC_ARENA_MAX="2") as daemon:
        cameras.start()
        samples: list[tuple[float, float]] = []
        counts: dict[str, int] = {}
        worst, begun, next_fault = 0, time.monotonic(), FAULT_S
        menu = faults(daemon, cameras)
        while (now := time.monotonic() - begun) < 60 * minutes:
            samples.append((now, _anonymous_mb(daemon.process.pid)))
            for stream in daemon.ask("GET", "/api/v1/state")["streams"]:
                worst = max(worst, abs(balance(stream["frames"])))
            if now >= next_fault:
                fault = menu[sum(counts.values()) % len(menu)]
                counts[fault.__name__] = counts.get(fault.__name__, 0) + 1
                next_fault += FAULT_S + dice.random()
                fault()
                say(f"{now:6.0f} s {fault.__name__:15} {samples[-1][1]:.1f} MB")
            time.sleep(SAMPLE_S)
        streams = daemon.ask("GET", "/api/v1/state")["streams"]
        alive = daemon.process.poll() is None
        code = daemon.stop()
        cameras.stop()
    kept = [(second, mb) for second, mb in samples if second > WARM_UP * 60 * minutes]
    slope = float(np.polyfit([s / 3600 for s, _ in kept], [mb for _, mb in kept], 1)[0])
    return {
        "minutes": minutes,
        "faults": counts,
        "memory_slope_mb_per_h": round(slope, 2),
        "memory_mb": [round(samples[0][1], 1), round(kept[0][1], 1), round(kept[-1][1], 1)],
        "restarts_of_the_daemon": 0 if alive else 1,
        "exit_code": code,
        "unaccounted_frames": worst,
        "streams": {s["name"]: s["frames"] for s in streams},
    }


def _anonymous_mb(pid: int) -> float:
    # Shared memory of slots is not counted: it belongs to whoever holds a frame.
    match = re.search(r"RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else float("nan")


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    more = [p.read_text() for p in Path(f"/proc/{pid}/task").glob("*/children")]
    return sorted({int(word) for part in (text, *more) for word in part.split()})


def _place(daemon: Daemon) -> tuple[str, int]:
    return "127.0.0.1", int(daemon.url.rpartition(":")[2])


def main() -> None:
    """Run it and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="stylepress-soak-") as folder:
        found = soak(options.minutes, Path(folder), lambda text: _say(sys.stderr, text))
    _say(sys.stdout, json.dumps(found, indent=1))


def _say(out: Any, text: str) -> None:
    out.write(text + "\n")
    out.flush()


if __name__ == "__main__":
    main()

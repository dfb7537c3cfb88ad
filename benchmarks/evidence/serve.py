"""Figures of the daemon: what cameras, viewers and clients get, measured from outside of it.

``python -m stylepress.benchmarks.evidence.serve [NAME ...]``, from the root of a checkout. Each
figure starts a daemon of its own; cameras are GStreamer's RTSP server. Other work on the machine
makes ages and rates worse: the load is printed beside them.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from stylepress.benchmarks.evidence.serve_requests import FIGURES as REQUESTS
from stylepress.benchmarks.evidence.serve_requests import processor_s, styles
from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import Daemon, camera, free_port, running

FPS, SIZE = 30, (640, 360)
WATCH_S = 30.0


@dataclass
class Watched:
    """What a viewer by MJPEG got: numbers, ages in s, and the pictures' mean steps."""

    numbers: list[int] = field(default_factory=list)
    ages_s: list[float] = field(default_factory=list)
    times_s: list[float] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)

    def summary(self) -> dict[str, float]:
        """Return frames a second, and percentiles of the age in ms."""
        ages = np.array(self.ages_s) * 1e3
        span = self.times_s[-1] - self.times_s[0]
        p50, p99 = np.percentile(ages, [50, 99])
        return {
            "fps": round((len(self.times_s) - 1) / span, 2), "age_p50_ms": round(float(p50), 1),
            "age_p99_ms": round(float(p99), 1), "frames": len(ages),
        }  # fmt: skip


def watch(daemon: Daemon, name: str, seconds: float, *, keep: bool = False) -> Watched:
    """View a stream for a while; ages are taken when a picture has arrived whole."""
    seen = Watched()
    with urllib.request.urlopen(f"{daemon.url}/streams/{name}.mjpeg") as answer:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            heads: dict[str, str] = {}
            while (line := answer.readline().decode().strip()) or not heads:
                key, _, value = line.partition(": ")
                heads[key] = value
            data = answer.read(int(heads["Content-Length"]))
            if (number := int(heads["X-Frame"])) == 0:
                continue
            seen.numbers.append(number)
            seen.ages_s.append((time.monotonic_ns() - int(heads["X-Captured-Ns"])) / 1e9)
            seen.times_s.append(time.monotonic())
            seen.styles.append(heads["X-Style"])
            if keep:
                seen.data.append(data)
    return seen


def live(daemon: Daemon, name: str) -> dict[str, Any]:
    """Wait until a stream is live and its engine loaded."""
    return daemon.until(name, lambda facts: facts["frames"]["published"] > FPS)


def cameras(folder: Path, count: int) -> dict[str, Any]:
    """Several cameras of 640x360 at 30, each to MJPEG, the first also to a file."""
    with ExitStack() as stack:
        ports = [free_port() for _ in range(count)]
        for port in ports:
            stack.enter_context(camera(port, size=SIZE, fps=FPS))
        streams: dict[str, Any] = {
            f"cam{n}": {"input": f"rtsp://127.0.0.1:{port}/cam"} for n, port in enumerate(ports)
        }
        streams["cam0"]["outputs"] = [str(folder / "film")]
        values = {"styles": styles("glass"), "streams": streams}
        daemon = stack.enter_context(running(folder, values))
        for name in streams:
            live(daemon, name)
        before = {name: daemon.stream(name)["frames"] for name in streams}
        used_s = processor_s(daemon.process.pid)
        with ThreadPoolExecutor(count) as pool:
            seen = list(pool.map(lambda name: watch(daemon, name, WATCH_S), streams))
        facts = {name: daemon.stream(name) for name in streams}
        rows = {}
        for name, viewed in zip(streams, seen, strict=True):
            after = facts[name]["frames"]
            captured = after["captured"] - before[name]["captured"]
            published = after["published"] - before[name]["published"]
            rows[name] = viewed.summary() | {
                "captured": captured, "published_share": round(published / max(1, captured), 4),
                "dropped": after["dropped"], "unaccounted": balance(after),
            }  # fmt: skip
        frames = sum(facts[n]["frames"]["published"] - before[n]["published"] for n in streams)
        spent_s = processor_s(daemon.process.pid) - used_s
        rows["processor_ms_a_frame"] = round(1e3 * spent_s / max(1, frames), 2)
        rows["file"] = facts["cam0"]["outputs"][1]
        return rows


def overload(folder: Path) -> dict[str, Any]:
    """A source of three times what fits: ages stay bounded, every frame is accounted for."""
    stream = {"input": "test://", "size": "640x360", "fps": 90}
    with running(folder, {"styles": styles("glass"), "streams": {"test": stream}}) as daemon:
        live(daemon, "test")
        seen = watch(daemon, "test", WATCH_S / 2)
        facts = daemon.stream("test")["frames"]
        early = seen.ages_s[: len(seen.ages_s) // 2]
        late = seen.ages_s[len(seen.ages_s) // 2 :]
        return seen.summary() | {
            "captured": facts["captured"], "published": facts["published"],
            "dropped": facts["dropped"], "in_flight": facts["in_flight"],
            "unaccounted": balance(facts),
            "age_p99_ms_by_half": [round(1e3 * float(np.percentile(h, 99)), 1) for h in (early, late)],
        }  # fmt: skip


def recovery(folder: Path) -> dict[str, Any]:
    """A camera killed for 30 s, and one frozen: when the slate comes, when it is live again."""
    port, timeout_s = free_port(), 3.0
    values = {
        "styles": styles("glass"),
        "defaults": {"size": "320x240", "timeout_s": timeout_s},
        "streams": {"cam": {"input": f"rtsp://127.0.0.1:{port}/cam"}, "other": {"input": "test://", "fps": 10}},
    }  # fmt: skip
    rows: dict[str, Any] = {"timeout_s": timeout_s}
    with running(folder, values) as daemon:
        with camera(port) as process:
            live(daemon, "cam")
            slates = daemon.stream("cam")["frames"]["slates"]
            process.kill()
            rows["killed_slate_s"] = _until(daemon, lambda f: f["frames"]["slates"] > slates)
        time.sleep(30)
        with camera(port) as process:
            rows["killed_live_s"] = _until(daemon, lambda f: f["state"] == "live")
            time.sleep(3)
            slates = daemon.stream("cam")["frames"]["slates"]
            process.send_signal(signal.SIGSTOP)
            rows["frozen_slate_s"] = _until(daemon, lambda f: f["frames"]["slates"] > slates)
            time.sleep(30)
            process.send_signal(signal.SIGCONT)
            rows["frozen_live_s"] = _until(daemon, lambda f: f["state"] == "live")
        other = daemon.stream("other")
        rows["other"] = {"reconnects": other["frames"]["reconnects"], "state": other["state"]}
    return rows


def _until(daemon: Daemon, holds: Callable[[dict[str, Any]], bool]) -> float:
    begun = time.monotonic()
    daemon.until("cam", holds)
    return round(time.monotonic() - begun, 2)


def switch(folder: Path) -> dict[str, Any]:
    """Styles switched under load: which frame is the first of the new style, and what is dropped."""
    stream = {"input": "test://", "size": "640x360", "fps": FPS, "style": "glass"}
    with running(
        folder, {"styles": styles("glass", "woodcut"), "streams": {"test": stream}}
    ) as daemon:
        live(daemon, "test")
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "woodcut"})  # loads it
        with ThreadPoolExecutor(1) as pool:
            viewing = pool.submit(watch, daemon, "test", 12.0)
            late = []
            before = daemon.stream("test")["frames"]["dropped"]
            for number in range(10):
                time.sleep(1)
                name = ("glass", "woodcut")[number % 2]
                daemon.ask("PATCH", "/api/v1/streams/test", {"style": name})
                late.append((name, daemon.stream("test")["frames"]["captured"]))
            seen = viewing.result()
        after = daemon.stream("test")["frames"]["dropped"]
    frames_late = []
    for name, captured in late:
        later = [
            n
            for n, style in zip(seen.numbers, seen.styles, strict=True)
            if n > captured and style != name
        ]
        nearby = [n for n in later if n < captured + FPS // 2]
        frames_late.append(len(nearby))
    return {"late_frames": frames_late, "dropped_by_loading": after.get("loading", 0) - before.get("loading", 0), "dropped": {k: v - before.get(k, 0) for k, v in after.items()}}  # fmt: skip


def fade(folder: Path) -> dict[str, Any]:
    """Two styles cross-faded live: the largest step between pictures, beside the clip's own."""
    import io

    from PIL import Image

    stream = {"input": "test://", "size": "640x360", "fps": FPS, "style": "glass"}
    with running(
        folder, {"styles": styles("glass", "woodcut"), "streams": {"test": stream}}
    ) as daemon:
        live(daemon, "test")
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "woodcut"})
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "glass"})
        before = daemon.stream("test")["frames"]
        with ThreadPoolExecutor(1) as pool:
            viewing = pool.submit(lambda: watch(daemon, "test", 12.0, keep=True))
            time.sleep(4)
            daemon.ask("PATCH", "/api/v1/streams/test", {"style": "woodcut", "fade_s": 4.0})
            seen = viewing.result()
        after = daemon.stream("test")["frames"]
    pictures = [np.asarray(Image.open(io.BytesIO(d)), np.int16) for d in seen.data]
    steps = [float(np.abs(b - a).mean()) for a, b in pairwise(pictures)]
    gaps = np.diff(seen.numbers)
    mixed = np.array(["+" in style for style in seen.styles])[1:]
    own = max(
        step for step, mix, gap in zip(steps, mixed, gaps, strict=True) if not mix and gap == 1
    )
    during = max(
        step for step, mix, gap in zip(steps, mixed, gaps, strict=True) if mix and gap == 1
    )
    return {
        "largest_own_step": round(own, 2), "largest_fade_step": round(during, 2),
        "ratio": round(during / own, 3), "frames_mixed": int(mixed.sum()),
        "dropped": {k: v - before["dropped"].get(k, 0) for k, v in after["dropped"].items()},
    }  # fmt: skip


def start(folder: Path) -> dict[str, Any]:
    """From the start of the process until it is ready, with the engine in the cache."""
    stream = {"input": "test://", "size": "640x360"}
    values = {"styles": styles("glass"), "streams": {"test": stream}}
    taken = []
    for _ in range(6):
        begun = time.monotonic()
        with running(folder, values) as daemon:
            taken.append(time.monotonic() - begun)
            assert daemon.stop() == 0
    return {"first_s": round(taken[0], 2), "cached_s": sorted(round(t, 2) for t in taken[1:])}


FIGURES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "one_camera": lambda folder: cameras(folder, 1),
    "three_cameras": lambda folder: cameras(folder, 3),
    "overload": overload,
    "recovery": recovery,
    "switch": switch,
    "fade": fade,
    "start": start,
    **REQUESTS,
}


def main() -> None:
    """Measure the figures that are named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*FIGURES, []], metavar="NAME")
    for name in parser.parse_args().names or FIGURES:
        with tempfile.TemporaryDirectory(prefix="stylepress-serve-") as folder:
            load = os.getloadavg()[0]
            row = FIGURES[name](Path(folder))
            text = {"figure": name, "load": [round(load, 1), round(os.getloadavg()[0], 1)], **row}
            sys.stdout.write(json.dumps(text) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()

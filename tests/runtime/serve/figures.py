"""Figures of the daemon: what cameras, viewers and clients get, measured from outside of it.

``python -m tests.runtime.serve.figures``, from the root of a checkout, on a quiet machine: 15 minutes.
Each figure starts daemons of its own; cameras are GStreamer's RTSP server.
"""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from stylepress.benchmarks.evidence.row import Limit, Row, least, most, promised
from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import Daemon, camera, free_port, running

FPS, SIZE, WATCH_S = 30, (640, 360), 30.0
PERIOD_MS = 1e3 / FPS
Measured = tuple[str, float, str]
"""A figure, its value, and a note."""
LIMITS: Mapping[str, Limit] = {
    "frames of one camera that reach a viewer": least(99, "%"),
    "age p99 of one camera": most(2 * PERIOD_MS, "ms"),
    "three cameras, slowest against fastest": least(90, "%"),
    "age p99 of three cameras": most(4 * PERIOD_MS, "ms"),
    "frames unaccounted for under overload": most(0),
    "slate after a camera is killed": most(4, "s"),
    "live again after that": most(3, "s"),
    "slate after a camera freezes": most(4, "s"),
    "live again after that too": most(3, "s"),
    "frames late after a switch of style": most(1),
    "largest step of a cross-fade over the clip's own": most(1.5, "x"),
    "start to ready, engine cached": most(1.5, "s"),
    "HTTP call beside the engine alone, null engine": most(1.0, "ms"),
    "frames a second over LitServe's": least(3, "x"),
    "batches of up to 8 against none, 32x32": least(1.3, "x"),
}


class View(NamedTuple):
    """One picture as a viewer got it: number, age when it had arrived whole, style, bytes."""

    number: int
    age_ms: float
    at_s: float
    style: str
    data: bytes


def styles(*names: str, backend: str = "openvino") -> dict[str, dict[str, str]]:
    """Return the shipped styles of a configuration."""
    recipes = Path("recipes").resolve()
    return {name: {"bundle": str(recipes / name / "bundle"), "backend": backend} for name in names}


def watch(daemon: Daemon, name: str, seconds: float) -> list[View]:
    """View a stream by MJPEG for a while."""
    seen: list[View] = []
    with urllib.request.urlopen(f"{daemon.url}/streams/{name}.mjpeg") as answer:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            heads: dict[str, str] = {}
            while (line := answer.readline().decode().strip()) or not heads:
                key, _, value = line.partition(": ")
                heads[key] = value
            data = answer.read(int(heads["Content-Length"]))
            if number := int(heads["X-Frame"]):
                age_ms = (time.monotonic_ns() - int(heads["X-Captured-Ns"])) / 1e6
                seen.append(View(number, age_ms, time.monotonic(), heads["X-Style"], data))
    return seen


def oldest(seen: list[View]) -> float:
    """Return the 99th percentile of the ages, ms."""
    return float(np.percentile([one.age_ms for one in seen], 99))


def live(daemon: Daemon, name: str) -> dict[str, Any]:
    """Wait until a stream is live and its engine loaded; return its counts."""
    counts: dict[str, Any] = daemon.until(name, lambda f: f["frames"]["published"] > FPS)["frames"]
    return counts


def cameras(folder: Path) -> Iterator[Measured]:
    """One camera of 640x360 at 30 to a viewer and a file, then three."""
    for count, label in ((1, "one camera"), (3, "three cameras")):
        with ExitStack() as stack:
            ports = [free_port() for _ in range(count)]
            for port in ports:
                stack.enter_context(camera(port, size=SIZE, fps=FPS))
            streams: dict[str, Any] = {
                f"cam{n}": {"input": f"rtsp://127.0.0.1:{port}/cam"} for n, port in enumerate(ports)
            }
            streams["cam0"]["outputs"] = [str(folder / f"film{count}")]
            values = {"styles": styles("glass"), "streams": streams}
            daemon = stack.enter_context(running(folder, values))
            for name in streams:
                live(daemon, name)
            used_s = processor_s(daemon.process.pid)
            with ThreadPoolExecutor(count) as pool:
                seen = list(pool.map(lambda name: watch(daemon, name, WATCH_S), streams))  # noqa: B023
            used_s = processor_s(daemon.process.pid) - used_s
        rates = [(len(one) - 1) / (one[-1].at_s - one[0].at_s) for one in seen]
        note = f"{min(rates):.1f} to {max(rates):.1f} fps; {1e3 * used_s / sum(map(len, seen)):.1f} ms of processor a frame"
        if count == 1:
            yield "frames of one camera that reach a viewer", 100 * rates[0] / FPS, note
        else:
            yield "three cameras, slowest against fastest", 100 * min(rates) / max(rates), note
        yield f"age p99 of {label}", max(map(oldest, seen)), f"{WATCH_S:g} s"


def overload(folder: Path) -> Iterator[Measured]:
    """A source of three times what fits: ages stay bounded, every frame is accounted for."""
    stream = {"input": "test://", "size": "640x360", "fps": 3 * FPS}
    with running(folder, {"styles": styles("glass"), "streams": {"test": stream}}) as daemon:
        live(daemon, "test")
        seen = watch(daemon, "test", WATCH_S / 2)
        counts = daemon.stream("test")["frames"]
    note = (
        f"age p99 {oldest(seen):.0f} ms; captured {counts['captured']}, dropped {counts['dropped']}"
    )
    yield "frames unaccounted for under overload", abs(balance(counts)), note


def recovery(folder: Path) -> Iterator[Measured]:
    """A camera killed for 30 s, and one frozen: when the slate comes, when it is live again."""
    port = free_port()
    values = {
        "styles": styles("glass"), "defaults": {"size": "320x240", "timeout_s": 3.0},
        "streams": {"cam": {"input": f"rtsp://127.0.0.1:{port}/cam"}},
    }  # fmt: skip

    def until(daemon: Daemon, holds: Callable[[dict[str, Any]], bool]) -> float:
        begun = time.monotonic()
        daemon.until("cam", holds)
        return time.monotonic() - begun

    with running(folder, values) as daemon:
        with camera(port) as process:
            slates = live(daemon, "cam")["slates"]
            process.kill()
            taken = until(daemon, lambda f: f["frames"]["slates"] > slates)
            yield "slate after a camera is killed", taken, "time-out 3 s"
        time.sleep(WATCH_S)
        with camera(port) as process:
            yield "live again after that", until(daemon, lambda f: f["state"] == "live"), ""
            time.sleep(3)
            slates = daemon.stream("cam")["frames"]["slates"]
            process.send_signal(signal.SIGSTOP)
            taken = until(daemon, lambda f: f["frames"]["slates"] > slates)
            yield "slate after a camera freezes", taken, "time-out 3 s"
            time.sleep(WATCH_S)
            process.send_signal(signal.SIGCONT)
            yield "live again after that too", until(daemon, lambda f: f["state"] == "live"), ""


def switch(folder: Path) -> Iterator[Measured]:
    """Styles switched under load: how many frames still have the old one."""
    stream = {"input": "test://", "size": "640x360", "fps": FPS, "style": "glass"}
    values = {"styles": styles("glass", "woodcut"), "streams": {"test": stream}}
    with running(folder, values) as daemon, ThreadPoolExecutor(1) as pool:
        live(daemon, "test")
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "woodcut"})  # loads it
        viewing = pool.submit(watch, daemon, "test", 12.0)
        asked, before = [], daemon.stream("test")["frames"]["dropped"]
        for number in range(10):
            time.sleep(1)
            name = ("glass", "woodcut")[number % 2]
            daemon.ask("PATCH", "/api/v1/streams/test", {"style": name})
            asked.append((name, daemon.stream("test")["frames"]["captured"]))
        seen, after = viewing.result(), daemon.stream("test")["frames"]["dropped"]
    late = [
        sum(at < one.number < at + FPS // 2 and one.style != name for one in seen)
        for name, at in asked
    ]
    dropped = {why: count - before.get(why, 0) for why, count in after.items()}
    yield (
        "frames late after a switch of style",
        max(late),
        f"10 switches; dropped meanwhile {dropped}",
    )


def fade(folder: Path) -> Iterator[Measured]:
    """Two styles cross-faded live: the largest step between pictures, beside the clip's own."""
    stream = {"input": "test://", "size": "640x360", "fps": FPS, "style": "woodcut"}
    values = {"styles": styles("glass", "woodcut"), "streams": {"test": stream}}
    with running(folder, values) as daemon, ThreadPoolExecutor(1) as pool:
        live(daemon, "test")
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "glass"})
        viewing = pool.submit(watch, daemon, "test", 12.0)
        time.sleep(4)
        daemon.ask("PATCH", "/api/v1/streams/test", {"style": "woodcut", "fade_s": 4.0})
        seen = viewing.result()
    pictures = [np.asarray(Image.open(io.BytesIO(one.data)), np.int16) for one in seen]
    steps: dict[bool, list[float]] = {True: [0.0], False: [1e-9]}
    for (one, two), (old, new) in zip(pairwise(seen), pairwise(pictures), strict=True):
        if two.number == one.number + 1:
            steps["+" in two.style].append(float(np.abs(new - old).mean()))
    ratio, note = max(steps[True]) / max(steps[False]), f"{len(steps[True]) - 1} frames mixed"
    yield "largest step of a cross-fade over the clip's own", ratio, note


def start(folder: Path) -> Iterator[Measured]:
    """From the start of the process until it is ready, with the engine in the cache."""
    stream, taken = {"input": "test://", "size": "640x360"}, []
    for _ in range(6):
        begun = time.monotonic()
        with running(folder, {"styles": styles("glass"), "streams": {"test": stream}}) as daemon:
            taken.append(time.monotonic() - begun)
            daemon.stop()
    yield "start to ready, engine cached", median(taken[1:]), f"first start {taken[0]:.1f} s"


def requests(folder: Path) -> Iterator[Measured]:
    """What the protocol adds, batches against none, and LitServe with the same ONNX beside it."""
    body = frame_request((512, 512))
    with running(folder, asked(backend="null")) as daemon:
        times_ms = []
        line = http.client.HTTPConnection(daemon.url.removeprefix("http://"))
        for _ in range(1000):
            begun = time.perf_counter()
            post(line, *body)
            times_ms.append(1e3 * (time.perf_counter() - begun))
    note = f"p10 {np.percentile(times_ms, 10):.2f} ms; 1000 calls of 512x512"
    yield "HTTP call beside the engine alone, null engine", median(times_ms), note
    rates: dict[str, list[float]] = {"litserve": [], "openvino": [], "onnxruntime": []}
    for _ in range(2):
        rates["litserve"].append(_litserve(folder))
        for backend in ("openvino", "onnxruntime"):
            with running(folder, asked(backend=backend)) as daemon:
                rates[backend].append(rate(daemon.url.removeprefix("http://"), *body, clients=2))
    means = {name: fmean(values) for name, values in rates.items()}
    note = ", ".join(f"{name} {value:.1f} fps" for name, value in means.items())
    yield "frames a second over LitServe's", means["openvino"] / means["litserve"], note
    for side in (32, 64, 128):
        found: dict[int, list[float]] = {1: [], 8: []}
        for together in (1, 8, 8, 1):
            with running(folder, asked(most=together)) as daemon:
                place = daemon.url.removeprefix("http://")
                found[together].append(rate(place, *frame_request((side, side)), clients=8))
        one, eight = (fmean(found[together]) for together in (1, 8))
        note = f"{one:.0f} and {eight:.0f} fps, eight clients"
        yield f"batches of up to 8 against none, {side}x{side}", eight / one, note


def asked(*, backend: str = "openvino", most: int = 8) -> dict[str, Any]:
    """Return the configuration of a daemon that answers requests."""
    values = {"styles": styles("glass", backend=backend), "infer_sizes": ["512x512"]}
    return {**values, "batching": {"most": most}}


def frame_request(size: tuple[int, int]) -> tuple[str, dict[str, str], bytes]:
    """Return path, headers and body of a request of the inference protocol."""
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    first = {
        "name": "frame", "shape": list(pixels.shape), "datatype": "UINT8",
        "parameters": {"binary_data_size": pixels.nbytes},
    }  # fmt: skip
    head = json.dumps({"inputs": [first], "parameters": {"binary_data_output": True}}).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))}
    return "/v2/models/glass/infer", headers, head + pixels.tobytes()


def post(line: http.client.HTTPConnection, path: str, headers: dict[str, str], body: bytes) -> bool:
    """Send a request and read the whole answer; say whether it is one."""
    line.request("POST", path, body, headers)
    answer = line.getresponse()
    return bool(answer.read()) and answer.status == 200


def rate(
    place: str, path: str, headers: dict[str, str], body: bytes, *, clients: int, seconds: float = 8.0
) -> float:  # fmt: skip
    """Return answers a second that several clients get, one thread and one connection each."""

    def client(_: int) -> int:
        line, end = http.client.HTTPConnection(place), time.monotonic() + seconds
        count = 0
        while time.monotonic() < end:
            count += post(line, path, headers, body)
        return count

    post(http.client.HTTPConnection(place), path, headers, body)
    with ThreadPoolExecutor(clients) as pool:
        begun = time.monotonic()
        return sum(pool.map(client, range(clients))) / (time.monotonic() - begun)


LITSERVE = """
import sys
import litserve
import numpy as np
import onnxruntime
from fastapi import Response


class Api(litserve.LitAPI):
    def setup(self, device):
        self.session = onnxruntime.InferenceSession(sys.argv[1])

    def decode_request(self, request):
        return np.frombuffer(request["frame"].file.read(), np.uint8).reshape(1, 512, 512, 3)

    def predict(self, frame):
        return self.session.run(None, {"frame": frame, "strength": np.ones(1, np.float32)})[0]

    def encode_response(self, made):
        return Response(content=made.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu", timeout=60)
    server.run(port=int(sys.argv[2]), host="127.0.0.1", generate_client_file=False, log_level="warning")
"""


def _litserve(folder: Path) -> float:
    """Return frames of 512x512 a second that two clients get from LitServe."""
    script, port = folder / "litserve_api.py", free_port()
    script.write_text(LITSERVE, encoding="utf-8")
    model = Path("recipes/glass/bundle/model.onnx").resolve()
    frame = np.random.default_rng(0).integers(0, 256, 512 * 512 * 3, np.uint8).tobytes()
    body = (
        b'--mark\r\nContent-Disposition: form-data; name="frame"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + frame + b"\r\n--mark--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=mark"}
    server = subprocess.Popen(
        [sys.executable, str(script), str(model), str(port)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 90
        while True:
            try:
                return rate(f"127.0.0.1:{port}", "/predict", headers, body, clients=2)
            except OSError:  # noqa: PERF203
                if time.monotonic() > until:
                    raise
                time.sleep(0.3)
    finally:
        server.terminate()
        server.wait()


def processor_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Measure everything, a line a figure; return 1 when one falls short."""
    short = 0
    for measure in (cameras, overload, recovery, switch, fade, start, requests):
        with tempfile.TemporaryDirectory(prefix="stylepress-serve-") as folder:
            for figure, value, note in measure(Path(folder)):
                row = promised(Row(figure, value, note=note), LIMITS.get(figure))
                short += row.verdict == "short"
                sys.stdout.write(f"{row.line()}\n")
                sys.stdout.flush()
    return 1 if short else 0


if __name__ == "__main__":
    sys.exit(main())

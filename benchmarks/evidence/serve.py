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
import threading
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

from stylepress.runtime.serve.ledger import balance
from tests.runtime.serve.running import Daemon, camera, free_port, running

FPS, SIZE = 30, (640, 360)
WATCH_S = 30.0
BACKEND = "openvino"


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


def styles(*names: str) -> dict[str, dict[str, str]]:
    """Return the shipped styles of a configuration."""
    recipes = Path("recipes").resolve()
    return {name: {"bundle": str(recipes / name / "bundle"), "backend": BACKEND} for name in names}


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
        used_s = _processor_s(daemon.process.pid)
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
        spent_s = _processor_s(daemon.process.pid) - used_s
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


def infer(folder: Path) -> dict[str, Any]:
    """512x512 by tritonclient beside the bare engine, in turns; see ``rivals`` for LitServe."""
    import tritonclient.http as triton  # type: ignore[import-untyped]

    from stylepress.cache import Cache
    from stylepress.progress import Silent
    from stylepress.runtime.backends import EngineOptions
    from stylepress.runtime.bundle import read_bundle
    from stylepress.runtime.prepared import ready

    pixels = np.random.default_rng(0).integers(0, 256, (1, 512, 512, 3), np.uint8)
    bundle = read_bundle(Path("recipes/glass/bundle"))
    engine = ready(bundle, BACKEND, options=EngineOptions(size=(512, 512)), cache=Cache(folder / "cache"), progress=Silent())  # fmt: skip
    with running(folder, {"styles": styles("glass"), "infer_sizes": ["512x512"]}) as daemon:
        client = triton.InferenceServerClient(daemon.url.removeprefix("http://"))
        asked = triton.InferInput("frame", pixels.shape, "UINT8")
        asked.set_data_from_numpy(pixels)
        wanted = [triton.InferRequestedOutput("frame_out", binary_data=True)]

        def served() -> None:
            client.infer("glass", [asked], outputs=wanted).as_numpy("frame_out")

        times: dict[str, list[float]] = {"bare": [], "served": []}
        for call in (served, lambda: engine.run({"frame": pixels})):
            for _ in range(10):
                call()
        for number in range(200):
            order = [("bare", lambda: engine.run({"frame": pixels})), ("served", served)]
            for name, call in order if number % 2 else order[::-1]:  # type: ignore[assignment]
                begun = time.perf_counter()
                call()
                times[name].append(1e3 * (time.perf_counter() - begun))
        stats = client.get_inference_statistics("glass")["model_stats"][0]["inference_stats"]
        client.close()
    engine.close()
    p50 = {name: round(float(np.median(values)), 2) for name, values in times.items()}
    quiet = {name: round(float(np.percentile(values, 10)), 2) for name, values in times.items()}
    inside = {
        k: round(stats[k]["ns"] / stats[k]["count"] / 1e6, 2) for k in ("queue", "compute_infer")
    }
    return {
        "p50_ms": p50, "added_p50_ms": round(p50["served"] - p50["bare"], 2), "p10_ms": quiet,
        "added_p10_ms": round(quiet["served"] - quiet["bare"], 2), "inside_ms": inside,
    }  # fmt: skip


def passed_on(folder: Path) -> dict[str, Any]:
    """What the daemon adds to a call: 512x512 through the null engine, which copies the frame."""
    values = {
        "styles": {"glass": styles("glass")["glass"] | {"backend": "null"}},
        "infer_sizes": ["512x512"],
    }
    with running(folder, values) as daemon:
        times_ms = sorted(_latencies(daemon, (512, 512), 1000))
        before, begun = _processor_s(daemon.process.pid), time.monotonic()
        _latencies(daemon, (512, 512), 500)
        spent = _processor_s(daemon.process.pid) - before
    return {
        "p10_ms": round(times_ms[100], 3), "p50_ms": round(times_ms[500], 3),
        "processor_ms": round(2 * spent, 3), "seconds": round(time.monotonic() - begun, 1),
    }  # fmt: skip


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


def litserve(folder: Path) -> dict[str, Any]:
    """Frames of 512x512 a second from two clients: this daemon and LitServe, the same ONNX, in turns."""
    import subprocess

    script, port = folder / "rival.py", free_port()
    script.write_text(LITSERVE, encoding="utf-8")
    model = Path("recipes/glass/bundle/model.onnx").resolve()
    rates: dict[str, list[float]] = {"litserve": [], BACKEND: [], "onnxruntime": []}
    for _ in range(2):
        rival = subprocess.Popen([sys.executable, str(script), str(model), str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
        try:
            rates["litserve"].append(_uploads(port))
        finally:
            rival.terminate()
            rival.wait()
        for backend in (BACKEND, "onnxruntime"):
            values = {
                "styles": {"glass": styles("glass")["glass"] | {"backend": backend}},
                "infer_sizes": ["512x512"],
            }
            with running(folder, values) as daemon:
                rates[backend].append(_rate(daemon, (512, 512), clients=2, seconds=8.0))
    means = {name: round(float(np.mean(values)), 2) for name, values in rates.items()}
    return means | {f"{b}_ratio": round(means[b] / means["litserve"], 2) for b in (BACKEND, "onnxruntime")}  # fmt: skip


def _uploads(port: int, *, seconds: float = 8.0) -> float:
    """Answers a second that two clients get from LitServe."""
    import http.client

    frame = np.random.default_rng(0).integers(0, 256, 512 * 512 * 3, np.uint8).tobytes()
    mark = b"--mark"
    body = (
        mark + b'\r\nContent-Disposition: form-data; name="frame"; filename="f"\r\n'
        b"Content-Type: application/octet-stream\r\n\r\n" + frame + b"\r\n" + mark + b"--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=mark"}

    def ask(line: http.client.HTTPConnection) -> bool:
        line.request("POST", "/predict", body, headers)
        answer = line.getresponse()
        return answer.status == 200 and len(answer.read()) == len(frame)

    until = time.monotonic() + 90
    while True:
        try:
            assert ask(http.client.HTTPConnection("127.0.0.1", port, timeout=30))
            break
        except OSError:
            assert time.monotonic() < until
            time.sleep(0.3)

    def client(_: int) -> int:
        line, count = http.client.HTTPConnection("127.0.0.1", port), 0
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count += ask(line)
        return count

    with ThreadPoolExecutor(2) as pool:
        begun = time.monotonic()
        return sum(pool.map(client, range(2))) / (time.monotonic() - begun)


def batching(folder: Path) -> dict[str, Any]:
    """Eight clients with small frames: frames a second with batches of eight, and of one."""
    rows: dict[str, Any] = {}
    for size in ((32, 32), (64, 64), (128, 128)):
        rates: dict[int, list[float]] = {1: [], 8: []}
        for most in (1, 8, 8, 1):
            values = {"styles": styles("glass"), "batching": {"most": most}}
            with running(folder, values) as daemon:
                rates[most].append(_rate(daemon, size, clients=8, seconds=5.0))
        one, eight = (float(np.mean(rates[most])) for most in (1, 8))
        rows["x".join(map(str, size))] = {"one": round(one), "eight": round(eight), "ratio": round(eight / one, 3)}  # fmt: skip
    return rows


def _latencies(daemon: Daemon, size: tuple[int, int], count: int) -> list[float]:
    """Return the times of requests one after the other over one connection, ms."""
    import http.client

    head, body = _request(size)
    line, times_ms = http.client.HTTPConnection(daemon.url.removeprefix("http://")), []
    for _ in range(count):
        begun = time.perf_counter()
        line.request("POST", "/v2/models/glass/infer", body, head)
        line.getresponse().read()
        times_ms.append(1e3 * (time.perf_counter() - begun))
    line.close()
    return times_ms


def _request(size: tuple[int, int]) -> tuple[dict[str, str], bytes]:
    pixels = np.random.default_rng(0).integers(0, 256, (1, *size, 3), np.uint8)
    first = {
        "name": "frame", "shape": list(pixels.shape), "datatype": "UINT8",
        "parameters": {"binary_data_size": pixels.nbytes},
    }  # fmt: skip
    head = json.dumps({"inputs": [first], "parameters": {"binary_data_output": True}}).encode()
    return {"Inference-Header-Content-Length": str(len(head))}, head + pixels.tobytes()


def _processor_s(pid: int) -> float:
    """Seconds of processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _rate(daemon: Daemon, size: tuple[int, int], *, clients: int, seconds: float) -> float:
    """Frames a second that several clients get, one thread and one connection each."""
    import http.client

    head, body = _request(size)
    counts, stop = [0] * clients, threading.Event()

    def client(number: int) -> None:
        line = http.client.HTTPConnection(daemon.url.removeprefix("http://"))
        while not stop.is_set():
            line.request("POST", "/v2/models/glass/infer", body, head)
            answer = line.getresponse()
            answer.read()
            counts[number] += answer.status == 200
        line.close()

    threads = [threading.Thread(target=client, args=[number]) for number in range(clients)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    begun, before = time.monotonic(), sum(counts)
    time.sleep(seconds)
    rate = (sum(counts) - before) / (time.monotonic() - begun)
    stop.set()
    for thread in threads:
        thread.join()
    return rate


FIGURES: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "one_camera": lambda folder: cameras(folder, 1),
    "three_cameras": lambda folder: cameras(folder, 3),
    "overload": overload,
    "recovery": recovery,
    "switch": switch,
    "fade": fade,
    "start": start,
    "infer": infer,
    "passed_on": passed_on,
    "litserve": litserve,
    "batching": batching,
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

"""Figures of the daemon's protocol: what it adds to a call, batches, and LitServe beside it."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.runtime.serve.running import Daemon, free_port, running

BACKEND = "openvino"


def styles(*names: str) -> dict[str, dict[str, str]]:
    """Return the shipped styles of a configuration."""
    recipes = Path("recipes").resolve()
    return {name: {"bundle": str(recipes / name / "bundle"), "backend": BACKEND} for name in names}


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
        before, begun = processor_s(daemon.process.pid), time.monotonic()
        _latencies(daemon, (512, 512), 500)
        spent = processor_s(daemon.process.pid) - before
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


def processor_s(pid: int) -> float:
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
    "infer": infer,
    "passed_on": passed_on,
    "litserve": litserve,
    "batching": batching,
}

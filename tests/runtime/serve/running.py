"""A daemon in a process of its own, and the cameras that it is pointed at."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.processes import bound

ROOT = Path(__file__).parents[3]
PATIENCE_S = 60.0
"""After so long a test gives up; nothing is judged by it, machines of CI are slow."""
SYSTEM_PYTHON = "/usr/bin/python3"
CAMERA = Path(__file__).with_name("rtsp_camera.py")


class Daemon:
    """A daemon that answers."""

    def __init__(self, process: subprocess.Popen[str], url: str, lines: list[str]) -> None:
        self.process, self.url, self.lines = process, url, lines

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Send a request with a JSON body; return the JSON of the answer, errors among them."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, dict(headers or {}), method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            read = answer.read()
        return json.loads(read) if read[:1] in (b"{", b"[") else read

    def stream(self, name: str) -> dict[str, Any]:
        """Return what the daemon says of a stream."""
        streams = self.ask("GET", "/api/v1/state")["streams"]
        return next(stream for stream in streams if stream["name"] == name)

    def until(self, name: str, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """Wait until something holds of a stream."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            facts = self.stream(name)
            if holds(facts):
                return facts
            time.sleep(0.05)
        raise AssertionError(f"never: {facts}\n{''.join(self.lines)}")

    def stop(self) -> int:
        """Ask it to stop; return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)


@contextmanager
def running(folder: Path, values: Mapping[str, Any], **environ: str) -> Iterator[Daemon]:
    """Start a daemon on a free port with this configuration, and stop it."""
    path = folder / "serve.yaml"
    path.write_text(yaml.safe_dump({"listen": "127.0.0.1:0", **values}), encoding="utf-8")
    command = [sys.executable, "-m", "stylepress", "serve", str(path)]
    process = subprocess.Popen(
        bound(command), stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "STYLEPRESS_CACHE": str(folder / "cache"), **environ},
    )  # fmt: skip
    lines: list[str] = []
    drain: threading.Thread | None = None
    try:
        assert process.stdout is not None
        url = ""
        for line in process.stdout:
            lines.append(line)
            message = json.loads(line)["message"] if line.startswith("{") else ""
            if message.startswith("ready on "):
                url = message.removeprefix("ready on ").rstrip("/")
                break
        assert url, "".join(lines)
        # Read on, or the daemon would wait for room in the pipe.
        drain = threading.Thread(target=lines.extend, args=[process.stdout], daemon=True)
        drain.start()
        yield Daemon(process, url, lines)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if drain is not None:
            drain.join()
        assert process.stdout is not None
        process.stdout.close()


@contextmanager
def camera(port: int, *, size: tuple[int, int] = (320, 240), fps: int = 10) -> Iterator[subprocess.Popen[str]]:  # fmt: skip
    """Start an IP camera at rtsp://127.0.0.1:PORT/cam."""
    arguments = [SYSTEM_PYTHON, str(CAMERA), str(port), str(size[0]), str(size[1]), str(fps)]
    process = subprocess.Popen(
        bound(arguments), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )  # fmt: skip
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        process.stdout.close()


def has_camera() -> bool:
    """Whether the system has GStreamer's RTSP server and H.264."""
    code = (
        "import gi; gi.require_version('GstRtspServer', '1.0')\n"
        "from gi.repository import Gst, GstRtspServer\n"
        "Gst.init(None); raise SystemExit(Gst.ElementFactory.find('x264enc') is None)"
    )
    if not Path(SYSTEM_PYTHON).exists():
        return False
    return subprocess.run([SYSTEM_PYTHON, "-c", code], capture_output=True).returncode == 0  # noqa: PLW1510


def free_port() -> int:
    """Return a TCP port that nobody listens on."""
    with socket.socket() as line:
        line.bind(("127.0.0.1", 0))
        port: int = line.getsockname()[1]
    return port

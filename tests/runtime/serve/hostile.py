"""Requests that no honest client sends: the daemon must answer or hang up, and stay as it was.

``python -m tests.runtime.serve.hostile --cases 10000``, from the root of a checkout.
"""

from __future__ import annotations

import argparse
import gzip
import json
import random
import re
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.runtime.serve.running import Daemon, running

MOMENT_S, PATIENCE_S = 2.0, 45.0
AT_ONCE, LORIS = 12, 32
PLACES = (
    "/", "/api/v1/state", "/api/v1/login", "/api/v1/streams/test", "/api/v1/streams/test/mask",
    "/api/v1/events", "/api/v1/live", "/api/v1/camera", "/streams/test.jpg", "/metrics",
    "/v2", "/v2/models/glass", "/v2/models/glass/infer", "/v2/models/glass/config", "/infer/glass",
    "/v2/models/stats", "/v2/repository/index", "/v2/systemsharedmemory/status", "/whip",
    "/streams/test/whep",
)  # fmt: skip
NAMES = ("../../etc/passwd", "..%2f..%2fetc%2fpasswd", "%00", "%ff%fe", "a" * 9000, ".", "%2e%2e", "\\..\\x")  # fmt: skip
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW", "get", "")
NUMBERS = ("0", "-1", "1e9", "99999999999999999999", "NaN", "0x10", "", " 7", "183", "12471", "é")
BOMB = gzip.compress(bytes(300 << 20), 9)
Case = Callable[[random.Random], bytes]


def request(
    verb: str, place: str, body: bytes = b"", headers: Sequence[tuple[str, str]] = ()
) -> bytes:
    """Return the bytes of a request; ``headers`` replace those it would have."""
    named = {"Host": "127.0.0.1", "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{name}: {value}" for name, value in (named | dict(headers)).items()]
    return (
        "\r\n".join([f"{verb} {place} HTTP/1.1", *lines, "", ""]).encode("utf-8", "replace") + body
    )


def _noise(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice((1, 10, 100, 4000))) + b"\r\n\r\n"


def _headers(dice: random.Random) -> bytes:
    name = dice.choice(("X-A", "Cookie", "Authorization", "Origin", "Range", "Expect", "Upgrade",
                        "Content-Length", "Transfer-Encoding", "Content-Encoding", "Host",
                        "Content-Type", "Inference-Header-Content-Length", "Sec-WebSocket-Key"))  # fmt: skip
    value = dice.choice(("", "a" * dice.choice((1, 500, 9000)), "\x00", "é\u2028", *NUMBERS,
                         "chunked", "gzip", "deflate", "br", "100-continue", "websocket"))  # fmt: skip
    body = dice.randbytes(dice.choice((0, 12, 500)))
    return request(dice.choice(VERBS), dice.choice(PLACES), body, [(name, value)])


def _traversal(dice: random.Random) -> bytes:
    name = dice.choice(NAMES)
    form = dice.choice(("/{}", "/streams/{}.mjpeg", "/v2/models/{}/infer", "/api/v1/streams/{}",
                        "/api/v1/styles/{}/thumbnail", "/infer/{}", "/webrtc/{}"))  # fmt: skip
    return request(dice.choice(VERBS[:5]), form.format(name))


def _json(dice: random.Random) -> bytes:
    value: Any = dice.choice(
        (
            None,
            1e308,
            "x" * 1000,
            [],
            {},
            {"style": []},
            {"style": {"glass": 1e308}},
            {"strength": -1},
            {"style": {"glass": 0}},
            {"controls": {"a" * 900: 1}},
            {"fade_s": 1e9},
            {"token": ["x"]},
            {"smoothing": "0.5"},
            {"style": "../../x"},
            {"enabled": 2},
        )
    )
    text = json.dumps(value).encode()
    text = dice.choice(
        (text, text[:-1], b"[" * 3000, b'{"a":' * 3000, b'"\\ud800"', text + b"\x00", b"NaN")
    )
    verb, place = dice.choice((("PATCH", "/api/v1/streams/test"), ("POST", "/api/v1/login"),
                               ("PUT", "/api/v1/streams/test/mask"), ("POST", "/whip"),
                               ("POST", "/v2/models/glass/infer")))  # fmt: skip
    return request(verb, place, text)


def _tensor(dice: random.Random) -> bytes:
    size = dice.choice((0, 1, 4, 16, 1 << 20, 1 << 31, -4))
    entry = {
        "name": dice.choice(("frame", "strength", "", "x" * 70)),
        "shape": dice.choice(([1, size, size, 3], [size], [], [1] * 40, "x", [1.5, 2, 2, 3])),
        "datatype": dice.choice(("UINT8", "FP32", "BYTES", "FP16", "", 7)),
        "parameters": {"binary_data_size": dice.choice((0, 12, 48, 768, -1, 1 << 40, "12", None))},
    }
    if dice.random() < 0.3:
        entry = {k: v for k, v in entry.items() if dice.random() < 0.7}
    text = json.dumps({"inputs": [entry] * dice.choice((1, 1, 2, 40)), "outputs": dice.choice(([], [{}], 7))})  # fmt: skip
    body = text.encode() + dice.randbytes(dice.choice((0, 12, 48, 768)))
    length = dice.choice((str(len(text)), str(len(text)), *NUMBERS))
    headers = [("Inference-Header-Content-Length", length)]
    return request("POST", "/v2/models/glass/infer", body, headers)


def _compressed(dice: random.Random) -> bytes:
    body = gzip.compress(dice.randbytes(50)) if dice.random() < 0.98 else BOMB
    body = dice.choice((body, body[: len(body) // 2], body + b"x"))
    place = dice.choice(("/v2/models/glass/infer", "/infer/glass", "/api/v1/login"))
    return request(
        "POST", place, body, [("Content-Encoding", dice.choice(("gzip", "deflate", "br")))]
    )


def _chunks(dice: random.Random) -> bytes:
    parts = b"".join(b"1\r\nx\r\n" for _ in range(dice.choice((1, 100, 3000))))
    end = dice.choice((b"0\r\n\r\n", b"", b"-1\r\n", b"ffffffffffffffff\r\n", b"0\r\nX: y\r\n\r\n"))
    headers = [("Transfer-Encoding", "chunked")]
    head = request("POST", dice.choice(PLACES), b"", headers).replace(b"Content-Length: 0\r\n", b"")
    return head + parts + end


CASES: tuple[Case, ...] = (_noise, _headers, _traversal, _json, _tensor, _compressed, _chunks)


def attack(daemon: Daemon, cases: int, *, seed: int = 0) -> dict[str, Any]:
    """Send so many cases to a daemon; return how it answered and what it used."""
    dice = random.Random(seed)
    place = "127.0.0.1", int(daemon.url.rpartition(":")[2])
    memory = [_memory_mb(daemon)]
    answers: Counter[str] = Counter()
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as pool:
        for _ in range(LORIS):
            line = stack.enter_context(socket.create_connection(place))
            line.sendall(b"GET / HTTP/1.1\r\nHost: ")
        # In two halves: what the first costs once is no growth.
        for half in (cases // 2, cases - cases // 2):
            sent = [CASES[number % len(CASES)](dice) for number in range(half)]
            answers.update(pool.map(lambda data: exchange(place, data), sent))
            memory.append(_memory_mb(daemon))
    return {
        "cases": cases,
        "answers": dict(sorted(answers.items())),
        "memory_mb": [round(mb, 1) for mb in memory],
        "alive": daemon.process.poll() is None,
        "still_right": daemon.stream("test")["state"] == "live",
    }


def exchange(place: tuple[str, int], data: bytes) -> str:
    """Send bytes; return the status of the answer, ``closed``, or ``hang``.

    A request that was cut short has no answer yet: after a moment our side is closed, and the
    daemon must let go.
    """
    with socket.create_connection(place, timeout=MOMENT_S) as line:
        answer = b""
        try:
            line.sendall(data)
            try:
                answer = line.recv(4096)
            except TimeoutError:
                line.shutdown(socket.SHUT_WR)
                line.settimeout(PATIENCE_S)
                answer = line.recv(4096)
        except TimeoutError:
            return "hang"
        except OSError:
            return "closed"
    if b"root:" in answer or b"Traceback" in answer:
        return "LEAK"
    match = re.match(rb"HTTP/1\.[01] (\d\d\d)", answer)
    return match[1].decode() if match else "closed"


def _memory_mb(daemon: Daemon) -> float:
    text = Path(f"/proc/{daemon.process.pid}/status").read_text()
    match = re.search(r"RssAnon:\s+(\d+) kB", text)
    return int(match[1]) / 1024 if match else float("nan")


def main() -> None:
    """Attack a daemon of our own on this machine."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    options = parser.parse_args()
    bundle = {"bundle": str(Path("recipes/glass/bundle").resolve()), "backend": "openvino"}
    stream = {"input": "test://", "size": "64x48", "fps": 5}
    with tempfile.TemporaryDirectory(prefix="stylepress-hostile-") as folder:
        values = {"styles": {"glass": bundle}, "streams": {"test": stream}}
        with running(Path(folder), values, MALLOC_ARENA_MAX="2") as daemon:
            daemon.until("test", lambda facts: facts["state"] == "live")
            sys.stdout.write(json.dumps(attack(daemon, options.cases), indent=1) + "\n")


if __name__ == "__main__":
    main()

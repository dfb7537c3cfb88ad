"""One run of one arm, in a process of its own: load, warm up, measure, write down, end."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np

from stylepress.errors import StylepressError
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle

WINDOW = 5
AGREE = 1.02
REFUSED = 2


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and for how long; it travels as JSON.

    ``frames`` is a .npy file with uint8 (K, H, W, 3), fed one at a time in turn. Warm-up lasts at
    least ``warm_s`` and ``warm_count`` calls, and on until the medians of the last three windows
    of five calls lie within 2 %, but no longer than ``warm_cap_s``. Measuring lasts at least
    ``min_s`` and ``min_count`` calls. ``extra_bytes`` are hashed (SHA-256) inside every call: a
    slowdown of known size, to try a gate with.
    """

    bundle: str
    backend: str
    frames: str
    answer: str
    threads: int | None
    warm_s: float
    warm_count: int
    warm_cap_s: float
    min_s: float
    min_count: int
    extra_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run took: every call in nanoseconds, load and first call apart from them.

    ``load_ns`` is from the bundle on disk to an engine, checks included. ``stable`` says whether
    the warm-up settled before its cap. ``waited_share`` is how long threads that could have run
    waited for a core while it was measured, over that time: what other programs took away.
    ``missing`` says why a field is None.
    """

    samples_ns: tuple[int, ...]
    load_ns: int
    first_call_ns: int
    warm_calls: int
    stable: bool
    peak_rss_bytes: int | None
    waited_share: float | None
    engine: dict[str, str | int]
    missing: dict[str, str] = field(default_factory=dict)


def run_arm(request: Request, *, clock_ns: Callable[[], int] = perf_counter_ns) -> Answer:
    """Measure once, in this process.

    Raises:
        ArtifactError, BackendError, FrameError: the bundle or the backend cannot be used.
    """
    frames = np.load(request.frames, allow_pickle=False)
    began = clock_ns()
    bundle = load_bundle(Path(request.bundle))
    options = EngineOptions(threads=request.threads, size=frames.shape[1:3])
    engine = open_engine(bundle, request.backend, options=options)
    load_ns = clock_ns() - began
    try:
        call = _timed(engine, frames, request.extra_bytes, clock_ns)
        first_call_ns = call()
        warm = _warm(call, request)
        gc.collect()
        samples: list[int] = []
        total_ns, waited_before = 0, waited_ns()
        while len(samples) < max(1, request.min_count) or total_ns < 1e9 * request.min_s:
            samples.append(call())
            total_ns += samples[-1]
        waited_after = waited_ns()
        facts = dict(engine.describe())
    finally:
        engine.close()
    peak, why = peak_rss_bytes()
    missing = {"peak_rss_bytes": why} if why else {}
    waited = None
    if waited_before is None or waited_after is None:
        missing["waited_share"] = "this system does not tell how long threads wait for a core"
    else:
        waited = max(0, waited_after - waited_before) / total_ns
    return Answer(
        samples_ns=tuple(samples),
        load_ns=load_ns,
        first_call_ns=first_call_ns,
        warm_calls=len(warm),
        stable=settled(warm),
        peak_rss_bytes=peak,
        waited_share=waited,
        engine=facts,
        missing=missing,
    )


def settled(calls: list[int]) -> bool:
    """Say whether the medians of the last three windows of five calls lie within 2 %."""
    if len(calls) < 3 * WINDOW:
        return False
    ends = [len(calls) - WINDOW * back for back in range(3)]
    medians = [median(calls[end - WINDOW : end]) for end in ends]
    return max(medians) <= AGREE * min(medians)


def peak_rss_bytes(status: Path = Path("/proc/self/status")) -> tuple[int | None, str]:
    """Return the most memory this process had resident, or None and why."""
    try:
        for line in status.read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024, ""
    except OSError as error:
        return None, f"{status}: {error.strerror}"
    return None, f"{status} has no VmHWM"


def waited_ns(tasks: Path = Path("/proc/self/task")) -> int | None:
    """Sum how long all threads of this process have been ready to run and were not; or None."""
    try:
        files = [path.read_text(encoding="ascii") for path in tasks.glob("*/schedstat")]
        return sum(int(text.split()[1]) for text in files) if files else None
    except (OSError, IndexError, ValueError):
        return None


def main() -> int:
    """Read a request from one line of stdin, write the answer to its file; 2 when refused.

    When the process that asked dies, stdin ends, and so does this one.
    """
    line = sys.stdin.readline()
    if not line:
        return REFUSED
    request = Request(**json.loads(line))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = run_arm(request)
    except StylepressError as error:
        sys.stderr.write(str(error))
        return REFUSED
    Path(request.answer).write_text(json.dumps(asdict(answer)), encoding="utf-8")
    return 0


def _timed(
    engine: Engine, frames: np.ndarray, extra_bytes: int, clock_ns: Callable[[], int]
) -> Callable[[], int]:
    turns = cycle([np.ascontiguousarray(frame[np.newaxis]) for frame in frames])
    extra = bytes(extra_bytes)

    def call() -> int:
        frame = next(turns)
        began = clock_ns()
        engine.run(frame)
        if extra:
            hashlib.sha256(extra).digest()
        return clock_ns() - began

    return call


def _warm(call: Callable[[], int], request: Request) -> list[int]:
    calls: list[int] = []
    total_ns = 0
    while True:
        enough = len(calls) >= request.warm_count and total_ns >= 1e9 * request.warm_s
        if enough and (total_ns >= 1e9 * request.warm_cap_s or settled(calls)):
            return calls
        calls.append(call())
        total_ns += calls[-1]


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(main())

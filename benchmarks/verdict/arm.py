"""One run of one arm, in a process of its own: load, warm up, measure, write down, end."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import sys
import threading
from array import array
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from itertools import cycle
from pathlib import Path
from statistics import median
from time import perf_counter_ns

import numpy as np

from stylepress.benchmarks.machine.processes import peak_bytes
from stylepress.benchmarks.scenarios.agreement import WINDOWS, agree
from stylepress.errors import StylepressError
from stylepress.runtime.backends import Engine, EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle

WINDOW_S, LEAST_CALLS = 0.5, 3
REFUSED = 2


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and for how long; it travels as JSON.

    ``frames`` is a .npy file with uint8 (K, H, W, 3), fed one at a time in turn. Warm-up lasts at
    least ``warm_s`` and ``warm_count`` calls, and on until the medians of the last three windows
    (half a second each, a third of ``warm_s`` where that is less, and three calls) lie within 2 %,
    but no longer than ``warm_cap_s``. Measuring lasts at least
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
    the warm-up settled before its cap. ``waited_share`` is the share of the measured time that a
    thread of the engine, the mean of all, could have run and waited for a core. ``missing`` says
    why a field is None.
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


def run_arm(request: Request) -> Answer:
    """Measure once, in this process.

    Raises:
        ArtifactError, BackendError, FrameError: the bundle or the backend cannot be used.
    """
    frames = np.load(request.frames, allow_pickle=False)
    began = perf_counter_ns()
    bundle = load_bundle(Path(request.bundle))
    options = EngineOptions(threads=request.threads, size=frames.shape[1:3])
    engine = open_engine(bundle, request.backend, options=options)
    load_ns = perf_counter_ns() - began
    try:
        call = _timed(engine, frames, request.extra_bytes)
        first_call_ns = call()
        warm_calls, stable = warmed_up(call, request)
        gc.collect()
        # Eight bytes a call: the faster arm makes more calls, and its memory is compared.
        samples = array("q")
        total_ns, waited_before = 0, waited_ns()
        while len(samples) < max(1, request.min_count) or total_ns < 1e9 * request.min_s:
            samples.append(call())
            total_ns += samples[-1]
        waited_after = waited_ns()
        facts = dict(engine.describe())
    finally:
        engine.close()
    missing: dict[str, str] = {}
    peak = waited = None
    try:
        peak = peak_bytes()
    except (OSError, LookupError) as error:
        missing["peak_rss_bytes"] = str(error)
    if waited_before is None or waited_after is None:
        missing["waited_share"] = "this system does not tell how long threads wait for a core"
    else:
        waited = max(0, waited_after - waited_before) / (total_ns * options.all_threads)
    return Answer(
        samples_ns=tuple(samples),
        load_ns=load_ns,
        first_call_ns=first_call_ns,
        warm_calls=warm_calls,
        stable=stable,
        peak_rss_bytes=peak,
        waited_share=waited,
        engine=facts,
        missing=missing,
    )


def warmed_up(call: Callable[[], int], request: Request) -> tuple[int, bool]:
    """Call, which returns nanoseconds, until it is settled; return how often, and whether it is.

    As ``scenarios/warm_up.py`` does it, without its imports: they would be in the arm's memory.
    """
    window_ns = 1e9 * min(WINDOW_S, request.warm_s / WINDOWS)
    medians: list[float] = []
    window = array("q")
    count, total_ns, end_ns = 0, 0, window_ns
    while True:
        settled = agree(medians)
        enough = count >= request.warm_count and total_ns >= 1e9 * request.warm_s
        if enough and (settled or total_ns >= 1e9 * request.warm_cap_s):
            return count, settled
        window.append(call())
        count, total_ns = count + 1, total_ns + window[-1]
        if len(window) >= LEAST_CALLS and total_ns >= end_ns:
            medians.append(median(window))
            window, end_ns = array("q"), total_ns + window_ns


def waited_ns() -> int | None:
    """Sum how long all threads of this process have been ready to run and were not; or None."""
    try:
        tasks = Path("/proc/self/task").glob("*/schedstat")
        files = [path.read_text(encoding="ascii") for path in tasks]
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


def _timed(engine: Engine, frames: np.ndarray, extra_bytes: int) -> Callable[[], int]:
    turns = cycle([np.ascontiguousarray(frame[np.newaxis]) for frame in frames])
    extra = bytes(extra_bytes)

    def call() -> int:
        frame = next(turns)
        began = perf_counter_ns()
        engine.run(frame)
        if extra:
            hashlib.sha256(extra).digest()
        return perf_counter_ns() - began

    return call


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(main())

"""``python -m stylepress.benchmarks.timing.worker``: one engine in a process of its own.

Open it, run the first frame, warm up, measure, write down, end: what an engine leaves behind in a
process must not be in the next one's figures.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stylepress.errors import BackendError, StylepressError, VerificationError

if TYPE_CHECKING:
    import subprocess

    from stylepress.runtime.backends import Engine

WORKER = "stylepress.benchmarks.timing.worker"
REFUSED = 2
CLEAR_PEAK = "5"
"""What makes Linux forget a process's peak when it is written to its ``clear_refs``."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and for how long; it travels as JSON.

    ``frames`` is a .npy file with uint8 (K, H, W, 3), fed one at a time in turn; else some pattern
    of ``height`` and ``width``. Warm-up lasts at least ``warm_s`` and ``warm_count`` calls, and on
    until the medians of three windows (half a second each, a third of ``warm_s`` where that is
    less) agree, but no longer than ``warm_cap_s``; none at all when ``warm_cap_s`` is 0. Measuring
    lasts at least ``min_s`` and ``min_count`` calls. ``cache`` keeps what was compiled.
    """

    bundle: str
    backend: str
    height: int = 0
    width: int = 0
    frames: str = ""
    answer: str = ""
    threads: int | None = None
    warm_s: float = 0.0
    warm_count: int = 0
    warm_cap_s: float = 0.0
    min_s: float = 0.0
    min_count: int = 1
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run took: every call in nanoseconds; what a system does not tell is None.

    ``stable`` says whether the warm-up settled before its cap. Of the
    machine's monotonic clock, ns: when the process ``began``, the backend was ``imported``,
    the engine ``opened`` from the bundle on disk, checks included, the ``first`` frame done, the
    last ``ended``. ``load_bytes`` is the highest resident memory until the first frame was done,
    ``steady_bytes`` after that.
    """

    samples_ns: tuple[int, ...]
    stable: bool
    engine: dict[str, str | int]
    began: int = 0
    imported: int = 0
    opened: int = 0
    first: int = 0
    ended: int = 0
    load_bytes: int | None = None
    steady_bytes: int | None = None

    @property
    def peak_rss_bytes(self) -> int | None:
        return self.load_bytes and max(self.load_bytes, self.steady_bytes or 0)

    @property
    def load_ns(self) -> int:
        return self.opened - self.imported

    @property
    def first_call_ns(self) -> int:
        return self.first - self.opened


class RunError(VerificationError):
    """The process of a run ended without an answer: no verdict, so not the exit code of one."""

    exit_code = 2


def fresh(request: Request, environ: Mapping[str, str]) -> Answer:
    """Run an engine in a process of its own, and wait for it; an interrupt ends that one too.

    Raises:
        BackendError: the engine cannot be opened.
        RunError: the process ended without an answer.
    """
    import subprocess  # not at the top: they would be in the memory and the start of the engine
    import tempfile

    with tempfile.TemporaryDirectory(prefix="stylepress-worker-") as folder:
        words, answer = Path(folder) / "stderr", Path(folder) / "answer.json"
        line = json.dumps(asdict(replace(request, answer=str(answer)))) + "\n"
        with words.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches this process only, which then ends the other.
            process = subprocess.Popen(
                [sys.executable, "-m", WORKER],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=dict(environ),
                start_new_session=True,
            )
            code = _waited(process, line.encode())
        if code == 0 and answer.is_file():
            told = json.loads(answer.read_text(encoding="utf-8"))
            return Answer(**{**told, "samples_ns": tuple(told["samples_ns"])})
        said = words.read_text(encoding="utf-8", errors="replace").strip()
    if code == REFUSED and said:
        raise BackendError(said)
    raise RunError(
        f"A run of {Path(request.bundle).name} in {request.backend} ended with {code}: "
        f"{said[-300:] or 'it said nothing'}. "
        f"Try it alone: `stylepress bench {request.bundle}`."
    )


def _waited(process: subprocess.Popen[bytes], line: bytes) -> int:
    assert process.stdin is not None
    try:
        with suppress(BrokenPipeError):  # it ended before it read; its last words tell why
            process.stdin.write(line)
            process.stdin.flush()
        return process.wait()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        with suppress(BrokenPipeError):
            process.stdin.close()


def run_request(request: Request, *, began: int = 0) -> Answer:
    """Measure once, in this process.

    Raises:
        ArtifactError, BackendError, FrameError: the bundle or the backend cannot be used.
    """
    import numpy as np

    from stylepress.benchmarks.timing.loop import WallClock, WarmRule, WarmUp, closed_loop, warm_up
    from stylepress.runtime.backends import EngineOptions, load_backend
    from stylepress.runtime.bundle import read_bundle

    load_backend(request.backend)
    imported = time.perf_counter_ns()
    # Random numbers would be 15 ms of imports, counted as the first frame's.
    shape, some = (1, request.height, request.width, 3), np.arange(251, dtype=np.uint8)
    frames = np.load(request.frames) if request.frames else np.resize(some, shape)
    options = EngineOptions(threads=request.threads, size=frames.shape[1:3])
    engine = _opened(read_bundle(Path(request.bundle)), request, options)
    opened = time.perf_counter_ns()
    try:
        call, clock = _call(engine, frames), WallClock()
        call(None)
        first = time.perf_counter_ns()
        load, forgotten = peak_bytes(), forget_peak()
        warmed, window_s = WarmUp(), min(0.5, request.warm_s / 3)
        if request.warm_cap_s:
            rule = WarmRule(request.warm_s, request.warm_count, window_s, most_s=request.warm_cap_s)
            warmed = warm_up(call, _nothing, rule=rule, clock=clock)
        gc.collect()
        calls = closed_loop(
            call, _nothing, least_s=request.min_s, least_count=request.min_count, clock=clock
        )
        ended = time.perf_counter_ns()
        facts = dict(engine.describe())
    finally:
        engine.close()
    return Answer(
        samples_ns=calls.taken_ns,
        stable=warmed.stable,
        engine=facts,
        began=began,
        imported=imported,
        opened=opened,
        first=first,
        ended=ended,
        load_bytes=load,
        steady_bytes=peak_bytes() if forgotten else None,
    )


def peak_bytes() -> int | None:
    """Return this process's highest resident memory, since it was forgotten; None where unknown."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) * 1024
    return None


def forget_peak() -> bool:
    """Let the kernel begin this process's peak anew; say whether it did."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text(CLEAR_PEAK, encoding="ascii")
        return True
    return False


def main() -> int:
    """Read a request from one line of stdin, write the answer to its file; 2 when refused.

    When the process that asked dies, stdin ends, and so does this one.
    """
    began = time.perf_counter_ns()
    line = sys.stdin.readline()
    if not line:
        return REFUSED
    request = Request(**json.loads(line))
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        answer = run_request(request, began=began)
    except StylepressError as error:
        sys.stderr.write(str(error))
        return REFUSED
    Path(request.answer).write_text(json.dumps(asdict(answer)), encoding="utf-8")
    return 0


def _opened(bundle: Any, request: Request, options: Any) -> Engine:
    """Open an engine; from what was compiled before where that is kept."""
    from stylepress.runtime.backends import open_engine

    if request.cache is None:
        return open_engine(bundle, request.backend, options=options)
    from stylepress.cache import Cache
    from stylepress.progress import Silent
    from stylepress.runtime.prepared import ready

    kept = Cache(Path(request.cache))
    return ready(bundle, request.backend, options=options, cache=kept, progress=Silent())


def _call(engine: Engine, frames: Any) -> Callable[[object], None]:
    from itertools import cycle

    picture = engine.graph.picture
    if picture is None:
        raise BackendError("This bundle takes no picture.", "Measure one that does.")
    turns = cycle([{picture.name: frame[None].copy()} for frame in frames])

    def call(sample: object) -> None:
        engine.run(next(turns))

    return call


def _nothing() -> None:
    return None


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(REFUSED)


if __name__ == "__main__":
    sys.exit(main())

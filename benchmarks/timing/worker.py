"""``python -m stylepress.benchmarks.timing.worker ANSWER``: one engine in a process of its own.

Open it, run the first frame, warm up, measure, write down, end: what an engine leaves behind in a
process must not be in the next one's figures. Engines that are compared live at the same time, each
in its process, and work by turns: what the machine does meanwhile falls on both.
"""

from __future__ import annotations

import gc
import json
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from stylepress.errors import BackendError, StylepressError, VerificationError

if TYPE_CHECKING:
    from stylepress.runtime.backends import Engine

WORKER = "stylepress.benchmarks.timing.worker"
REFUSED = 2
GO, DONE = b"go\n", b"stylepress: done\n"
"""What both processes tell each other around each step; an engine may print what it likes between."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to run, and for how long; it travels as JSON.

    ``frames`` is a .npy file with uint8 (K, H, W, 3), fed one at a time in turn; else some pattern
    of ``height`` and ``width``. Warm-up lasts ``warm_s``, a call at least where it is not 0. Measuring
    lasts at least ``min_s`` and ``min_count`` calls, in equal parts of as many ``turns``. The first call
    of a further turn, after another engine used the caches, does not count where a call is short.
    ``cache`` keeps what was compiled.
    """

    bundle: str
    backend: str
    height: int = 0
    width: int = 0
    frames: str = ""
    threads: int | None = None
    warm_s: float = 0.0
    min_s: float = 0.0
    min_count: int = 1
    turns: int = 1
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What one run took: every call in nanoseconds, and how many calls each turn has.

    Of the machine's monotonic clock, ns: when the process ``began``, the backend was ``imported`` and
    its turn to open came, the engine ``opened`` from the bundle on disk, checks included, the ``first``
    frame done, the last ``ended``. ``load_bytes`` is the highest resident memory until the first frame
    was done, ``steady_bytes`` after that; None where a system does not tell it.
    """

    samples_ns: tuple[int, ...]
    turns: tuple[int, ...]
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


def fresh(requests: Sequence[Request], environ: Mapping[str, str]) -> list[Answer]:
    """Run engines in processes of their own at the same time, one of them working at a time.

    They open, warm up and measure by turns (A, B, then A, B, B, A, A, B, ...), as many as each
    request has. An interrupt ends them too.

    Raises:
        BackendError: an engine cannot be opened.
        RunError: a process ended without an answer.
    """
    with ExitStack() as stack:
        arms = [stack.enter_context(closing(_Process(one, environ))) for one in requests]
        for arm in arms:
            arm.wait()
        for step in range(-2, requests[0].turns):  # to open, to warm up, to measure
            for arm in arms if step % 2 == 0 else arms[::-1]:
                arm.tell(GO)
                arm.wait()
        for arm in arms:
            arm.tell(GO)
        return [arm.answer() for arm in arms]


class _Process:
    """An engine's process, which has to be closed."""

    def __init__(self, request: Request, environ: Mapping[str, str]) -> None:
        import subprocess  # not at the top: they would be in the memory and the start of the engine
        import tempfile

        self.request = request
        self._folder = tempfile.TemporaryDirectory(prefix="stylepress-worker-")
        self._words = Path(self._folder.name) / "stderr"
        self._answer = Path(self._folder.name) / "answer.json"
        with self._words.open("wb") as stderr:
            # A session of its own: Ctrl-C reaches this process only, which then ends the other.
            self._process = subprocess.Popen(
                [sys.executable, "-m", WORKER, str(self._answer)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=dict(environ),
                start_new_session=True,
            )
        self.tell(json.dumps(asdict(request)).encode() + b"\n")

    def close(self) -> None:
        self._process.kill()  # does nothing where it ended
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):
                assert pipe is not None
                pipe.close()
        self._folder.cleanup()

    def tell(self, line: bytes) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # it ended before it read; its last words tell why
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def wait(self) -> None:
        """Wait until a step is done; raise why the process ended instead."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.endswith(DONE):
                return
        self._failed(self._process.wait())

    def answer(self) -> Answer:
        """Wait until the process ended, and read what it wrote; raise why it wrote nothing."""
        code = self._process.wait()
        if code or not self._answer.is_file():
            self._failed(code)
        told = json.loads(self._answer.read_text(encoding="utf-8"))
        lists = {name: tuple(told[name]) for name in ("samples_ns", "turns")}
        return Answer(**{**told, **lists})

    def _failed(self, code: int) -> NoReturn:
        said = self._words.read_text(encoding="utf-8", errors="replace").strip()
        if code == REFUSED and said:
            raise BackendError(said)
        raise RunError(
            f"A run of {Path(self.request.bundle).name} in {self.request.backend} ended with {code}: "
            f"{said[-300:] or 'it said nothing'}. "
            f"Try it alone: `stylepress bench {self.request.bundle}`."
        )


def steps_of(request: Request, began: int) -> Generator[None, None, Answer]:
    """Import; open and run the first frame; warm up; take each turn; close and answer: a step each.

    Raises:
        ArtifactError, BackendError, FrameError: the bundle or the backend cannot be used.
    """
    import numpy as np

    from stylepress.benchmarks.timing.loop import Clock, closed_loop
    from stylepress.runtime.backends import EngineOptions, load_backend
    from stylepress.runtime.bundle import read_bundle

    load_backend(request.backend)
    # Random numbers would be 15 ms of imports, counted as the first frame's.
    shape, some = (1, request.height, request.width, 3), np.arange(251, dtype=np.uint8)
    frames = np.load(request.frames) if request.frames else np.resize(some, shape)
    options = EngineOptions(threads=request.threads, size=frames.shape[1:3])
    yield
    imported = time.perf_counter_ns()
    engine = _opened(read_bundle(Path(request.bundle)), request, options)
    opened = time.perf_counter_ns()
    try:
        call, clock, nothing = _call(engine, frames), Clock(), lambda: None
        call(None)
        first = time.perf_counter_ns()
        load, forgotten = peak_bytes(), forget_peak()
        yield
        if request.warm_s:
            closed_loop(call, nothing, least_s=request.warm_s, clock=clock)
        gc.collect()
        taken = list[tuple[int, ...]]()
        turn_s = request.min_s / request.turns
        count = math.ceil(request.min_count / request.turns)
        for _ in range(request.turns):
            yield
            if taken and 4e-9 * taken[-1][-1] < turn_s:
                call(None)
            calls = closed_loop(call, nothing, least_s=turn_s, least_count=count, clock=clock)
            taken.append(tuple(calls))
        ended = time.perf_counter_ns()
        yield
        facts = dict(engine.describe())
    finally:
        engine.close()
    return Answer(
        samples_ns=tuple(call_ns for turn in taken for call_ns in turn),
        turns=tuple(map(len, taken)),
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
    """Let the kernel begin this process's peak anew, as Linux does at a 5; say whether it did."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
        return True
    return False


def main(answer: Path) -> int:
    """Read a request from one line of stdin, take a step for each further line; 2 when refused.

    The answer goes to its file at the end. When the process that asked dies, stdin ends, and so
    does this one.
    """
    began = time.perf_counter_ns()
    lines, arrived = list[bytes](), threading.Semaphore(0)
    threading.Thread(target=_listen, args=(lines, arrived), daemon=True).start()
    arrived.acquire()
    steps = steps_of(Request(**json.loads(lines[0])), began)
    try:
        while True:
            next(steps)
            os.write(sys.stdout.fileno(), DONE)
            arrived.acquire()
    except StopIteration as end:
        answer.write_text(json.dumps(asdict(end.value)), encoding="utf-8")
        return 0
    except StylepressError as error:
        sys.stderr.write(str(error))
        return REFUSED


def _listen(lines: list[bytes], arrived: threading.Semaphore) -> None:
    # Not sys.stdin: a buffer that this thread waits in could not be closed at the end.
    for line in FileIO(sys.stdin.fileno(), closefd=False):
        lines.append(line)
        arrived.release()
    os._exit(REFUSED)


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


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))

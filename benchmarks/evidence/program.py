"""Figures about the program: how fast a command starts, and what the harness costs."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from stylepress.benchmarks.evidence.row import Row, promised
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing.outcome import Length, SingleStream
from stylepress.benchmarks.timing.scenarios import run_scenario
from stylepress.errors import VerificationError
from stylepress.runtime.machine import usable_cores

STARTS, START_BAR_S, IMPORT_BAR_S = 7, 0.4, 0.25
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"
OVERHEAD_BAR, ENGINE_S, CALLS, TURNS = 2.0, 0.001, 200, 10


def start_figures(setting: Setting, *, times: int = STARTS) -> Iterator[Row]:
    """Time the import of the runtime, and the shortest command as a whole; medians."""
    note = f"median of {times} fresh processes"
    module = "stylepress.runtime"
    inside = median(float(_python("-c", IMPORT.format(module))) for _ in range(times))
    yield promised(f"import {module}", inside, "s", most=IMPORT_BAR_S, note=note)
    whole = []
    for _ in range(times):
        began = time.perf_counter()
        _python("-m", "stylepress", "--version")
        whole.append(time.perf_counter() - began)
    name = "stylepress --version, from start to end"
    yield promised(name, median(whole), "s", most=START_BAR_S, note=note)


def _python(*words: str) -> str:
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerificationError(
            f"`{' '.join(words)}` ended with {done.returncode}: {done.stderr.strip()[-300:]}.",
            "Install stylepress again.",
        )
    return done.stdout


@dataclass(frozen=True, slots=True)
class Overhead:
    """Processor time that the harness takes: ``inside`` the loop, as a share of the engine's.

    ``beside`` it is the sampler's process, as a share of all cores.
    """

    inside: float
    beside: float
    engine_ms: float


def harness_figures(setting: Setting) -> Iterator[Row]:
    """Run an engine of 1 ms with and without the harness."""
    found = overhead()
    yield promised(
        "overhead of the harness on a 1 ms engine",
        100 * (found.inside + found.beside),
        "%",
        most=OVERHEAD_BAR,
        note=f"{100 * found.inside:.2f} % in the loop, {100 * found.beside:.2f} % of all cores for "
        f"the sensors; engine {found.engine_ms:.2f} ms, {TURNS} pairs of {CALLS} calls",
    )


def overhead() -> Overhead:
    """Compare calls in the harness with calls in a bare loop, in pairs of the order ABBA.

    The engine is work, not a wait: it hashes as many bytes as take 1 ms of processor. Compared is
    processor time, which a busy machine hardly changes; wall time there says nothing about 2 %.
    """
    trial = bytes(1 << 20)
    taken = min(_processor_s(lambda: hashlib.sha256(trial).digest()) for _ in range(9))
    data = bytes(max(1, round(len(trial) * ENGINE_S / taken)))

    def engine(sample: object) -> None:
        hashlib.sha256(data).digest()

    def bare() -> None:
        for _ in range(CALLS):
            engine(None)

    def harness() -> None:
        length = Length(min_s=0, min_count=CALLS)
        run_scenario(engine, lambda: None, SingleStream(), length=length)

    ratios, plain = [], []
    with Watch() as watch:
        begin_ns = time.perf_counter_ns()
        for turn in range(TURNS):
            loops = (bare, harness) if turn % 2 else (harness, bare)
            spent = {loop: _processor_s(loop) for loop in loops}
            ratios.append(spent[harness] / spent[bare])
            plain.append(spent[bare] / CALLS)
        window = Window(begin_ns, time.perf_counter_ns())
        watch.settle()
        sampler_s = watch.timeline().growth("sampler.cpu_s", window) or float("nan")
    return Overhead(
        inside=median(ratios) - 1,
        beside=sampler_s / (window.seconds * usable_cores()),
        engine_ms=1e3 * median(plain),
    )


def _processor_s(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began

"""Rows about the harness: what an open loop sees that a closed one hides, and what it costs."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import chain, repeat
from statistics import median

from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.scenarios.outcome import Length, Outcome, Server
from stylepress.benchmarks.scenarios.server import server
from stylepress.benchmarks.scenarios.single_stream import single_stream
from stylepress.runtime.machine import usable_cores

STALL_BAR, OVERHEAD_BAR = 10.0, 2.0
SERVICE_S, STALL_S, STALL_AT = 0.002, 1.0, 300
RATE_HZ, REQUESTS = 200.0, 1400
ENGINE_S = 0.001
CALLS, TURNS = 200, 10


def harness_rows() -> Iterator[Row]:
    """Run an engine that stalls once in both loops, and one of 1 ms with and without the harness."""
    closed, opened = stall()
    tails = [one.at(0.99).value_ms or float("nan") for one in (closed, opened)]
    yield Row(
        "p99 with one stall of 1 s, open loop over closed loop",
        tails[1] / tails[0],
        STALL_BAR,
        "x",
        at_least=True,
        note=f"{tails[1]:.0f} ms at {RATE_HZ:g} Hz, {tails[0]:.1f} ms closed, {REQUESTS} samples, "
        f"median {opened.at(0.5).value_ms:.1f} and {closed.at(0.5).value_ms:.1f} ms",
    )
    found = overhead()
    yield Row(
        "overhead of the harness on a 1 ms engine",
        100 * (found.inside + found.beside),
        OVERHEAD_BAR,
        "%",
        at_least=False,
        note=f"{100 * found.inside:.2f} % in the loop, {100 * found.beside:.2f} % of all cores for "
        f"the sensors; engine {found.engine_ms:.2f} ms, {TURNS} pairs of {CALLS} calls",
    )


@dataclass(frozen=True, slots=True)
class Overhead:
    """Processor time that the harness takes: ``inside`` the loop, as a share of the engine's.

    ``beside`` it is the sampler's process, as a share of all cores.
    """

    inside: float
    beside: float
    engine_ms: float


def stall() -> tuple[Outcome, Outcome]:
    """Measure the same system, asleep 2 ms a call and 1 s once, in a closed and an open loop."""

    def system() -> Callable[[object], None]:
        times = chain(repeat(SERVICE_S, STALL_AT), [STALL_S], repeat(SERVICE_S))
        return lambda sample: time.sleep(next(times))

    length = Length(min_s=0, min_count=REQUESTS)
    closed = single_stream(system(), lambda: None, length=length)
    opened = server(system(), lambda: None, Server(rate_hz=RATE_HZ, seed=1), length=length)
    return closed, opened


def overhead() -> Overhead:
    """Compare calls in the harness with calls in a bare loop, in pairs of the order ABBA.

    The engine is work, not a wait: it hashes as many bytes as take 1 ms of processor. Compared is
    processor time, which a busy machine hardly changes; wall time there says nothing about 2 %.
    """
    data = _work()

    def engine(sample: object) -> None:
        hashlib.sha256(data).digest()

    def bare() -> None:
        for _ in range(CALLS):
            engine(None)

    def harness() -> None:
        single_stream(engine, lambda: None, length=Length(min_s=0, min_count=CALLS))

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


def _work() -> bytes:
    """Return as many bytes as take 1 ms to hash."""
    trial = bytes(1 << 20)
    taken = min(_processor_s(lambda: hashlib.sha256(trial).digest()) for _ in range(9))
    return bytes(max(1, round(len(trial) * ENGINE_S / taken)))


def _processor_s(call: Callable[[], object]) -> float:
    began = time.thread_time()
    call()
    return time.thread_time() - began

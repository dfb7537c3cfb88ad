"""What a bundle takes in a backend, measured in processes of its own: start and memory."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.machine.watch import Watch
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions

if TYPE_CHECKING:
    from stylepress.benchmarks.timing.systems import Contender

FRAMES, SECONDS = 8, 0.5
"""What a process runs after its first frame, at least: so that the sampler sees it at work."""


def measure_footprint(
    system: Contender,
    engine: EngineOptions,
    *,
    rounds: int,
    watch: Watch,
    environ: Mapping[str, str],
    progress: Progress,
) -> list[Check]:
    """Start a bundle's engine ``rounds`` times cold and warm in turns; the watch is running.

    A start is from nothing to the first frame, the median. A cold one has an empty cache of compiled
    engines, a warm one follows it with that cache; the files are in memory for both. Memory is the
    highest of the last warm process (VmHWM) until its first frame, and after it. What was not
    measured is None, its note says why.

    Raises:
        BackendError: the engine cannot be opened.
        VerificationError: its process ended without an answer.
    """
    assert system.bundle is not None, "only what can be opened again is started"
    folder = system.bundle.artifact.folder
    request = Request(
        *(str(folder), system.backend, *(engine.size or (512, 512))),
        min_count=FRAMES,
        min_s=SECONDS,
        threads=engine.threads,
    )
    starts: list[tuple[int, Answer]] = []
    progress.start(f"Starting {system.backend}", 2 * rounds)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="stylepress-start-") as cache:
            for temperature in ("cold", "warm"):
                before_ns = time.perf_counter_ns()
                starts.append((before_ns, fresh([replace(request, cache=cache)], environ)[0]))
                progress.advance(note=temperature)
    progress.finish()
    spoiled = watch.judged(Window(starts[0][0], starts[-1][1].ended)).reasons
    note = f"does not count: {'; '.join(spoiled)}" if spoiled else ""
    times = []
    for name, own in (("cold start", starts[::2]), ("warm start", starts[1::2])):
        ms = median((answer.first - began) / 1e6 for began, answer in own)
        times.append(Check(subject=system.name, metric=name, unit="ms", new=ms, note=note))
    return [*times, *_memory(system.name, watch.timeline(), *starts[-1])]


def _memory(name: str, timeline: Timeline, before_ns: int, last: Answer) -> Iterator[Check]:
    whole = Window(before_ns, last.ended)
    unread = timeline.missing.get("nvml", "the driver does not tell memory in use")
    for metric, size, why in (
        ("memory, steady", last.steady_bytes, "this system does not let a peak begin anew"),
        ("memory, load", last.load_bytes, "this system keeps no peak of a process's memory"),
        ("GPU memory", gpu_bytes(timeline.within(whole)), unread),
        ("unified memory", unified_bytes(timeline, whole), ""),
    ):
        if size is not None:
            yield Check(subject=name, metric=metric, unit="MB", new=size / 1e6)
        elif why:
            yield Check(subject=name, metric=metric, unit="MB", note=why)


def gpu_bytes(near: Timeline) -> int | None:
    """Sum over GPUs by how much our processes' memory rose, or else what is in use, in bytes."""
    names, rises = near.names("gpu"), []
    for name in (name for name in names if name.endswith(".memory_bytes")):
        own = name.replace(".memory_bytes", ".own_memory_bytes")
        # A GPU of which we hold nothing says nothing of us, which is 0 bytes before we began.
        used = [values.get(own, 0.0) for _, values in near.samples] if own in names else []
        used = used or [value for _, value in near.series(name)]
        rises.append(max(used) - used[0])
    return round(sum(rises)) if rises else None


def unified_bytes(timeline: Timeline, window: Window) -> int | None:
    """Return by how much the memory that was available fell, where a GPU shares it."""
    available = [value for _, value in timeline.series("memory.available_bytes", window)]
    if not available or "clock.gpu_mhz" not in timeline.names("clock."):
        return None
    before = timeline.at("memory.available_bytes", window.begin_ns)
    return round((available[0] if before is None else before) - min(available))

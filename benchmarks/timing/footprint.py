"""What a bundle takes in a backend, measured in processes of its own: start and memory."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Literal

from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.progress import Progress
from stylepress.runtime.backends import EngineOptions

if TYPE_CHECKING:
    from stylepress.benchmarks.timing.systems import Contender

FRAMES, SECONDS = 8, 0.5
"""What a process runs after its first frame, at least: so that the sampler sees it at work."""
Temperature = Literal["cold", "warm"]
TEMPERATURES: tuple[Temperature, ...] = ("cold", "warm")


class Begin(Part):
    """One start, in milliseconds from the process being asked for.

    ``process`` is Python itself, ``package`` the backend's import, ``engine`` opening it, ``frame``
    its first frame.
    """

    temperature: Temperature
    process_ms: float
    package_ms: float
    engine_ms: float
    frame_ms: float

    @property
    def total_ms(self) -> float:
        return self.process_ms + self.package_ms + self.engine_ms + self.frame_ms


class Footprint(Part):
    """What one bundle takes in one backend: every start of its engine, and its memory.

    A ``cold`` start has an empty cache of compiled engines, and the bundle's files were dropped from
    the system's memory where it lets us (``dropped``). A ``warm`` one follows it with that cache,
    of ``cache_bytes``. The backend's own libraries are in memory for both, as after any first use.

    Bytes are those at the highest point of the last warm process, None with the reason in
    ``missing``: what it had resident until its first frame (``load``) and after it (``steady``), as
    the kernel kept its peak (VmHWM); by how much what the driver says of our processes rose, or
    where it does not tell them apart, the GPU's memory in use (``gpu``); by how much the memory that
    was available fell, on boards whose GPU shares it (``unified``).
    """

    system: str
    begins: tuple[Begin, ...]
    dropped: bool
    cache_bytes: int
    load_bytes: int | None
    steady_bytes: int | None
    gpu_bytes: int | None
    unified_bytes: int | None
    missing: dict[str, str]
    validity: Validity | None = None

    def median_ms(self, temperature: Temperature) -> float:
        """Return the median of the totals of one kind of start."""
        return median(one.total_ms for one in self.begins if one.temperature == temperature)


def measure_footprint(
    system: Contender,
    engine: EngineOptions,
    *,
    rounds: int,
    watch: Watch,
    environ: Mapping[str, str],
    progress: Progress,
) -> Footprint:
    """Start a bundle's engine ``rounds`` times cold and warm in turns; the watch is running.

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
    dropped, cache_bytes = True, 0
    progress.start(f"Starting {system.backend}", 2 * rounds)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="stylepress-start-") as cache:
            for temperature in TEMPERATURES:
                if temperature == "cold":
                    dropped = drop_files(folder) and dropped
                before_ns = time.perf_counter_ns()
                starts.append((before_ns, fresh(replace(request, cache=cache), environ)))
                progress.advance(note=temperature)
            files = (path for path in Path(cache).rglob("*") if path.is_file())
            cache_bytes = sum(path.stat().st_size for path in files)
    progress.finish()
    before_ns, last = starts[-1]
    validity = watch.judged(Window(starts[0][0], last.ended))
    timeline, whole = watch.timeline(), Window(before_ns, last.ended)
    memory = {
        "load": (last.load_bytes, "this system keeps no peak of a process's memory"),
        "steady": (last.steady_bytes, "this system does not let a peak begin anew"),
        "gpu": (
            gpu_bytes(timeline.within(whole)),
            timeline.missing.get("nvml", "the driver does not tell memory in use"),
        ),
        "unified": (
            unified_bytes(timeline, whole),
            "this system has no GPU that shares the memory",
        ),
    }
    return Footprint(
        system=system.name,
        begins=tuple(_begin(*one, TEMPERATURES[n % 2]) for n, one in enumerate(starts)),
        dropped=dropped,
        cache_bytes=cache_bytes,
        **{f"{name}_bytes": size for name, (size, _) in memory.items()},
        missing={name: why for name, (size, why) in memory.items() if size is None},
        validity=validity,
    )


def drop_files(folder: Path) -> bool:
    """Ask the system to forget what it holds of a folder's files; say whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def gpu_bytes(near: Timeline) -> int | None:
    """Sum over GPUs by how much our processes' memory rose, or else what is in use.

    Engines that the process above holds open are there before, and are not this one's.
    """
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


def _begin(before_ns: int, answer: Answer, temperature: Temperature) -> Begin:
    marks = (before_ns, answer.began, answer.imported, answer.opened, answer.first)
    process, package, engine, frame = ((b - a) / 1e6 for a, b in pairwise(marks))
    return Begin(
        temperature=temperature,
        process_ms=process,
        package_ms=package,
        engine_ms=engine,
        frame_ms=frame,
    )

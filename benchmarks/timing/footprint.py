"""What a bundle takes in a backend, measured in processes of its own: start, memory, bytes."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal

from pydantic import Field

from stylepress.artifact import GOLDEN, Artifact
from stylepress.benchmarks.machine.timeline import Timeline, Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.timing.worker import Answer, Request, fresh
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle

FRAMES, SECONDS = 8, 0.5
"""What a process runs after its first frame, at least: so that the sampler sees it at work."""
CONVENTION = (
    "One multiply with its addition is one MAC (two operations). Convolutions only, a transposed "
    "one at its input's size; no bias, norm, activation or resize. Counted at 512x512, scaled by "
    "the area. Parameters are the weights that are learned, zero points and scales left out."
)
COUNTED_AT = 512 * 512
Temperature = Literal["cold", "warm"]
TEMPERATURES: tuple[Temperature, ...] = ("cold", "warm")


class Begin(Part):
    """One start, in milliseconds from the process being asked for.

    ``process`` is Python itself, ``package`` the backend's import, ``engine`` opening it, ``frame``
    its first frame. Their sum is ``total_ms``.
    """

    temperature: Temperature
    process_ms: float
    package_ms: float
    engine_ms: float
    frame_ms: float

    @property
    def total_ms(self) -> float:
        """From nothing to the first frame."""
        return self.process_ms + self.package_ms + self.engine_ms + self.frame_ms


class Start(Part):
    """Every start of one engine.

    A ``cold`` one has an empty cache of compiled engines, and the bundle's files were dropped from
    the system's memory where it lets us (``dropped``). A ``warm`` one follows it with that cache.
    The backend's own libraries are in memory for both, as they are after any first use.
    """

    backend: str
    begins: tuple[Begin, ...]
    dropped: bool
    cache_bytes: int

    def median_ms(self, temperature: Temperature) -> float:
        """Return the median of the totals of one kind."""
        return median(one.total_ms for one in self.begins if one.temperature == temperature)


class Memory(Part):
    """Bytes at the highest point; None with the reason in ``missing``.

    ``main`` is the engine's own process, as the kernel kept its peak (VmHWM). ``tree`` is it and
    its children, the sum of what each has resident, sampled: shared pages count once for each.
    ``gpu`` is by how much what the driver says of our processes rose, or where it does not tell them
    apart, the GPU's memory in use; ``unified`` by how much the memory that was available fell, on
    boards whose GPU shares it. ``load`` ends with the first frame done, ``steady`` is what follows.
    """

    load_main_bytes: int | None
    steady_main_bytes: int | None
    load_tree_bytes: int | None
    steady_tree_bytes: int | None
    gpu_bytes: int | None
    unified_bytes: int | None
    missing: dict[str, str] = Field(default_factory=dict)


class Cost(Part):
    """Sizes in bytes, and counts by ``convention``; None where nobody counted.

    ``engine_bytes`` is what a backend keeps of it on disk once it is compiled.
    """

    files_bytes: dict[str, int]
    engine_bytes: int | None
    parameters: int | None
    macs: int | None
    convention: str = CONVENTION

    @property
    def size_bytes(self) -> int:
        """All files together, without the golden pairs."""
        return sum(self.files_bytes.values())


class Footprint(Part):
    """What one bundle takes in one backend.

    Its start, cold and warm; its memory, in the last of the warm processes; its files, parameters
    and multiply-accumulates. ``validity`` says whether its times count; None: nobody watched.
    """

    system: str
    start: Start
    memory: Memory
    cost: Cost
    validity: Validity | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """Which bundle in which backend, for frames of ``size`` (height, width)."""

    bundle: Bundle
    backend: str
    size: tuple[int, int]
    threads: int | None


def measure_footprint(
    asked: Asked,
    system: str,
    *,
    rounds: int,
    watch: Watch,
    environ: Mapping[str, str],
    progress: Progress,
) -> Footprint:
    """Start an engine ``rounds`` times cold and warm in turns; the watch is running.

    Raises:
        BackendError: the engine cannot be opened.
        VerificationError: its process ended without an answer.
    """
    artifact = asked.bundle.artifact
    request = Request(
        *(str(artifact.folder), asked.backend, *asked.size),
        min_count=FRAMES,
        min_s=SECONDS,
        threads=asked.threads,
    )
    seen: list[tuple[int, Answer]] = []
    dropped, cache_bytes = True, 0
    progress.start(f"Starting {asked.backend}", 2 * rounds)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="stylepress-start-") as folder:
            for temperature in TEMPERATURES:
                if temperature == "cold":
                    dropped = drop_files(artifact.folder) and dropped
                before_ns = time.perf_counter_ns()
                seen.append((before_ns, fresh(replace(request, cache=folder), environ)))
                progress.advance(note=temperature)
            cache_bytes = folder_bytes(Path(folder))
    progress.finish()
    begins = tuple(_begin(*one, TEMPERATURES[n % 2]) for n, one in enumerate(seen))
    before_ns, last = seen[-1]
    validity = watch.judged(Window(seen[0][0], last.ended))
    return Footprint(
        system=system,
        start=Start(backend=asked.backend, begins=begins, dropped=dropped, cache_bytes=cache_bytes),
        memory=memory_of(
            watch.timeline(),
            load=Window(before_ns, last.first),
            steady=Window(last.first, last.ended),
            peaks=(last.load_bytes, last.steady_bytes),
        ),
        cost=cost_of(artifact, asked.size, engine_bytes=cache_bytes),
        validity=validity,
    )


def cost_of(artifact: Artifact, size: tuple[int, int], *, engine_bytes: int | None = None) -> Cost:
    """Return the cost of an artifact for frames of (height, width)."""
    macs, parameters = artifact.numbers.get("macs_512"), artifact.numbers.get("params")
    return Cost(
        files_bytes={
            name: record.size_bytes
            for name, record in artifact.files.items()
            if not name.startswith(f"{GOLDEN}/")
        },
        engine_bytes=engine_bytes,
        parameters=None if parameters is None else round(parameters),
        macs=None if macs is None else round(macs * size[0] * size[1] / COUNTED_AT),
    )


def folder_bytes(folder: Path) -> int:
    """Sum the sizes of all files below a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def drop_files(folder: Path) -> bool:
    """Ask the system to forget what it holds of a folder's files; say whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in (path for path in folder.rglob("*") if path.is_file()):
        with suppress(OSError), path.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def memory_of(
    timeline: Timeline,
    *,
    load: Window,
    steady: Window,
    peaks: tuple[int | None, int | None] = (None, None),
) -> Memory:
    """Put together what the sampler saw and the ``peaks`` that a process read of itself.

    The engine has a process of its own below the one that is watched, which is none of its tree.
    ``load`` begins before that process does: what is in use there counts as not its own.
    """
    missing: dict[str, str] = {}
    whole = Window(load.begin_ns, steady.end_ns)
    sampled = [_tree(timeline, window) for window in (load, steady)]
    if None in sampled:
        missing["tree"] = timeline.missing.get("process tree", "no sample fell into the window")
    if None in peaks:
        missing["main"] = "the process could not read or reset its VmHWM"
    gpu = _gpu(timeline.within(whole))
    if gpu is None:
        missing["gpu"] = timeline.missing.get("nvml", "the driver does not tell memory in use")
    available = [value for _, value in timeline.series("memory.available_bytes", whole)]
    unified: float | None = None
    if "clock.gpu_mhz" not in timeline.names("clock."):
        missing["unified"] = "this system has no GPU that shares the memory"
    elif available:
        before = timeline.at("memory.available_bytes", whole.begin_ns)
        unified = (available[0] if before is None else before) - min(available)
    trees, others = (
        [None if value is None else round(value) for value in values]
        for values in (sampled, (gpu, unified))
    )
    return Memory(
        load_main_bytes=peaks[0],
        steady_main_bytes=peaks[1],
        load_tree_bytes=trees[0],
        steady_tree_bytes=trees[1],
        gpu_bytes=others[0],
        unified_bytes=others[1],
        missing=missing,
    )


def _begin(before_ns: int, made: Answer, temperature: Temperature) -> Begin:
    marks = (before_ns, made.began, made.imported, made.opened, made.first)
    spans = [(later - earlier) / 1e6 for earlier, later in pairwise(marks)]
    return Begin(
        temperature=temperature,
        process_ms=spans[0],
        package_ms=spans[1],
        engine_ms=spans[2],
        frame_ms=spans[3],
    )


def _tree(timeline: Timeline, window: Window) -> float | None:
    """Return the most that the tree had resident at once, without the process that is watched."""
    whole = dict(timeline.series("memory.tree_bytes", window))
    first = dict(timeline.series("memory.main_bytes", window))
    return max((whole[at] - first[at] for at in whole.keys() & first.keys()), default=None)


def _gpu(near: Timeline) -> float | None:
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
    return sum(rises) if rises else None

"""What a bundle takes in a backend, measured in processes of its own: start, memory, bytes."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Validity, Watch
from stylepress.benchmarks.part import Part
from stylepress.benchmarks.resources.cost import Cost, cost_of
from stylepress.benchmarks.resources.memory import Memory, memory_of
from stylepress.benchmarks.scenarios.fresh import Answer, Request
from stylepress.benchmarks.scenarios.start import Start, fresh, measure_start
from stylepress.progress import Progress
from stylepress.runtime.bundle import Bundle

FRAMES, SECONDS = 8, 0.5
"""What a process runs after its first frame, at least: so that the sampler sees it at work."""


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

    @property
    def request(self) -> Request:
        """What its process is asked to do."""
        return Request(
            bundle=str(self.bundle.artifact.folder),
            backend=self.backend,
            height=self.size[0],
            width=self.size[1],
            frames=FRAMES,
            seconds=SECONDS,
            threads=self.threads,
        )


def measure_footprint(
    asked: Asked,
    system: str,
    *,
    rounds: int,
    watch: Watch,
    environ: Mapping[str, str],
    progress: Progress,
) -> Footprint:
    """Start an engine ``rounds`` times cold and warm, and see what it takes; the watch is running.

    Raises:
        BackendError: the engine cannot be opened.
        VerificationError: its process ended without an answer.
    """
    seen: list[tuple[int, Answer]] = []

    def ask(request: Request, *, environ: Mapping[str, str]) -> Answer:
        before_ns = time.perf_counter_ns()
        seen.append((before_ns, fresh(request, environ=environ)))
        return seen[-1][1]

    start = measure_start(asked.request, rounds=rounds, environ=environ, progress=progress, ask=ask)
    before_ns, last = seen[-1]
    validity = watch.judged(Window(seen[0][0], last.ended))
    return Footprint(
        system=system,
        start=start,
        memory=memory_of(
            watch.timeline(),
            load=Window(before_ns, last.first),
            steady=Window(last.first, last.ended),
            peaks=(last.load_bytes, last.steady_bytes),
        ),
        cost=cost_of(asked.bundle.artifact, asked.size, engine_bytes=start.cache_bytes),
        validity=validity,
    )

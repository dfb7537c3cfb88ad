"""The roof: how fast this machine multiplies and moves memory, in the backends that are judged.

Peaks are taken with the very settings that engines get, so what an engine misses of its roof is
its own layers, shapes and copies, not the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from stylepress.benchmarks.machine.watch import Validity
from stylepress.benchmarks.part import Part
from stylepress.runtime.backends import EngineOptions, open_engine
from stylepress.runtime.bundle import load_bundle

if TYPE_CHECKING:
    from stylepress.benchmarks.timing.roof_graph import Kernel

What = Literal["fp32", "int8", "copy"]
SHAPES = ((64, 128), (32, 128), (128, 64))
"""Channels, and side in pixels, of the convolutions that are tried; the fastest is the peak."""
LAYERS = 6
MOVED = (64, 512)
GIGA = {"MAC/s": "GMAC/s", "byte/s": "GB/s"}
"""What a thousand million of a unit are called."""
FEW, MANY = 2, 6
"""Layers of two graphs that move memory: their difference is free of everything around them."""


class Peak(Part):
    """The highest rate seen: MACs or bytes a second, with every call it was taken of.

    ``kernel`` is what ran. ``samples_ms`` are of the fastest shape.
    """

    what: What
    unit: Literal["MAC/s", "byte/s"]
    rate: float
    kernel: str
    samples_ms: tuple[float, ...]

    @property
    def words(self) -> str:
        """The rate in words: ``21.3 GMAC/s``."""
        return f"{self.rate / 1e9:.3g} {GIGA[self.unit]}"


class Roof(Part):
    """The peaks of one backend on this machine, and whether they count; None: nobody watched."""

    backend: str
    threads: int
    engine: dict[str, str | int]
    peaks: tuple[Peak, ...]
    validity: Validity | None = None

    @property
    def words(self) -> str:
        """Its peaks in words: ``fp32 21.3 GMAC/s, int8 96.4 GMAC/s``."""
        return ", ".join(f"{peak.what} {peak.words}" for peak in self.peaks)

    def peak(self, what: What) -> Peak | None:
        """Return the peak of that kind; None when it was not taken."""
        return next((peak for peak in self.peaks if peak.what == what), None)

    def rate(self, what: What) -> float | None:
        """Return the rate of that peak."""
        peak = self.peak(what)
        return None if peak is None else peak.rate


class Share(Part):
    """How much of a roof an engine reaches, 0..1, by the multiply-accumulates of its convolutions.

    ``own`` is of its backend's peak at its precision, ``best`` of the highest of any backend.
    """

    macs_s: float
    precision: What
    own: float | None
    best: float | None


def measure_roof(
    backend: str,
    work: Path,
    *,
    threads: int | None = None,
    rounds: int = 5,
    clock: Callable[[], float] = time.perf_counter,
) -> Roof:
    """Take the peaks of one backend. Needs the package onnx.

    The best of ``rounds`` counts: a roof is what was reached, and what disturbs only lowers it.
    The kernels are written into ``work``, where the next backend finds them.

    Raises:
        BackendError: the backend cannot run here, or not these kernels.
    """
    return _Trial(work, threads, rounds, clock).roof(backend)


def share_of_roof(
    roofs: Sequence[Roof], *, backend: str, precision: str, macs: int, latency_ms: float
) -> Share:
    """Say how much of the roof an engine reaches that takes so long for so many MACs."""
    what: What = "int8" if precision == "int8" else "fp32"
    reached = 1e3 * macs / latency_ms
    rates = {roof.backend: rate for roof in roofs if (rate := roof.rate(what))}
    own, best = rates.get(backend), max(rates.values(), default=None)
    return Share(
        macs_s=reached,
        precision=what,
        own=reached / own if own else None,
        best=reached / best if best else None,
    )


class _Trial:
    """Runs kernels; those that were not written yet are."""

    def __init__(
        self, work: Path, threads: int | None, rounds: int, clock: Callable[[], float]
    ) -> None:
        self.work, self.threads, self.rounds, self.clock = work, threads, rounds, clock
        self.facts: Mapping[str, str | int] = {}

    def roof(self, backend: str) -> Roof:
        peaks = tuple(self._peaks(backend))
        return Roof(
            backend=backend,
            threads=EngineOptions(threads=self.threads).all_threads,
            engine=dict(self.facts),
            peaks=peaks,
        )

    def _peaks(self, backend: str) -> Iterator[Peak]:
        from stylepress.benchmarks.timing.roof_graph import Kernel  # onnx

        for precision in ("fp32", "int8"):
            tried = []
            for channels, side in SHAPES:
                kernel = Kernel(
                    "multiply", channels, LAYERS, "int8" if precision == "int8" else "fp32"
                )
                taken = self._times_s(kernel, side, backend)
                tried.append((kernel.macs(side, side) / min(taken), kernel.name, side, taken))
            rate, name, side, taken = max(tried)
            yield Peak(
                what="int8" if precision == "int8" else "fp32",
                unit="MAC/s",
                rate=rate,
                kernel=f"{name}, {side}x{side}",
                samples_ms=tuple(1e3 * one for one in taken),
            )
        channels, side = MOVED
        few, many = (Kernel("move", channels, layers) for layers in (FEW, MANY))
        short, long = (self._times_s(kernel, side, backend) for kernel in (few, many))
        moved = many.moved_bytes(side, side) - few.moved_bytes(side, side)
        spent = min(long) - min(short)
        if spent > 0:
            yield Peak(
                what="copy",
                unit="byte/s",
                rate=moved / spent,
                kernel=f"{many.name}, less {FEW} layers, {side}x{side}",
                samples_ms=tuple(1e3 * one for one in long),
            )

    def _times_s(self, kernel: Kernel, side: int, backend: str) -> list[float]:
        from stylepress.benchmarks.timing.roof_graph import kernel_bundle  # onnx

        folder = self.work / kernel.name.replace(" ", "-").replace(",", "")
        if not folder.is_dir():
            kernel_bundle(kernel, folder)
        frame = np.random.default_rng(0).integers(0, 256, (1, side, side, 3), np.uint8)
        options = EngineOptions(threads=self.threads, size=(side, side))
        taken = []
        with closing(open_engine(load_bundle(folder), backend, options=options)) as engine:
            engine.run(frame)
            for _ in range(self.rounds):
                began = self.clock()
                engine.run(frame)
                taken.append(self.clock() - began)
            self.facts = engine.describe()
        return taken

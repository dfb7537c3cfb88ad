"""How long an engine takes until its first frame: cold, and warm when it was opened before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Literal, Protocol

from stylepress.benchmarks.part import Part
from stylepress.benchmarks.resources.cost import folder_bytes
from stylepress.benchmarks.scenarios.fresh import REFUSED, Answer, Request, parse
from stylepress.errors import BackendError, VerificationError
from stylepress.progress import Progress

WORKER = "stylepress.benchmarks.scenarios.fresh"
Temperature = Literal["cold", "warm"]


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


class Ask(Protocol):
    """Runs an engine in a process of its own."""

    def __call__(self, request: Request, *, environ: Mapping[str, str]) -> Answer:
        """Return what the process told."""


def measure_start(
    request: Request,
    *,
    rounds: int = 3,
    environ: Mapping[str, str],
    progress: Progress,
    ask: Ask | None = None,
) -> Start:
    """Start an engine in fresh processes, cold and warm in turns.

    ``request.cache`` is not used: each round has a folder of its own. ``ask`` is ``fresh``, unless
    a caller wants to see the answers too.

    Raises:
        BackendError: the engine cannot be opened.
    """
    begins: list[Begin] = []
    dropped, cache_bytes = True, 0
    progress.start(f"Starting {request.backend}", 2 * rounds)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="stylepress-start-") as folder:
            asked = replace(request, cache=folder)
            for temperature in ("cold", "warm"):
                if temperature == "cold":
                    dropped = drop_files(Path(request.bundle)) and dropped
                before = time.perf_counter_ns()
                made = (ask or fresh)(asked, environ=environ)
                begins.append(_begin(before, made, "cold" if temperature == "cold" else "warm"))
                progress.advance(note=f"{temperature} {begins[-1].total_ms:.0f} ms")
            cache_bytes = folder_bytes(Path(folder))
    progress.finish()
    return Start(
        backend=request.backend, begins=tuple(begins), dropped=dropped, cache_bytes=cache_bytes
    )


def fresh(request: Request, *, environ: Mapping[str, str]) -> Answer:
    """Run an engine in a process of its own.

    Raises:
        BackendError: the engine cannot be opened.
        VerificationError: the process ended without an answer.
    """
    done = subprocess.run(
        [sys.executable, "-m", WORKER, json.dumps(asdict(request))],
        capture_output=True,
        text=True,
        check=False,
        env=dict(environ),
    )
    if done.returncode == REFUSED:
        raise BackendError(done.stderr.strip())
    if done.returncode:
        raise VerificationError(
            f"A process that opened {request.bundle} in {request.backend} ended with "
            f"{done.returncode}: {done.stderr.strip()[-300:]}. Run `stylepress doctor`."
        )
    return parse(done.stdout)


def drop_files(folder: Path) -> bool:
    """Ask the system to forget what it holds of a folder's files; say whether it can be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    for path in folder.rglob("*"):
        if path.is_file():
            with suppress(OSError):
                handle = os.open(path, os.O_RDONLY)
                try:
                    os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
                finally:
                    os.close(handle)
    return True


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

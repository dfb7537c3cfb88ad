"""``python -m stylepress.benchmarks.scenarios.fresh REQUEST``: one engine, one process.

Open it, run the first frame and some more, and print when each was done and how much memory it
took: what an engine leaves behind in a process must not be in the next one's figures.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stylepress.errors import StylepressError

REFUSED = 3
"""Exit status when the engine cannot be opened; the reason stands on standard error."""


@dataclass(frozen=True, slots=True)
class Request:
    """Which engine to open, for frames of ``height`` and ``width``, and for how long to run it."""

    bundle: str
    backend: str
    height: int
    width: int
    frames: int
    seconds: float = 0.0
    threads: int | None = None
    cache: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Times in ns of the machine's monotonic clock, and bytes; None where the system keeps none.

    ``imported`` is when the backend's package was loaded, ``opened`` the engine, ``first`` when the
    first frame was done, ``ended`` the last of ``frames``. ``load_bytes`` is the highest resident
    memory until the first frame was done, ``steady_bytes`` after that.
    """

    began: int
    imported: int
    opened: int
    first: int
    ended: int
    frames: int
    load_bytes: int | None
    steady_bytes: int | None
    engine: Mapping[str, str | int]


def answer(request: Request, *, began: int) -> Answer:
    """Do what is asked in this process."""
    import numpy as np

    from stylepress.benchmarks.machine.processes import forget_peak, peak_bytes
    from stylepress.runtime.backends import EngineOptions, obstacle, open_engine
    from stylepress.runtime.bundle import load_bundle

    def peak() -> int | None:
        try:
            return peak_bytes()
        except (OSError, LookupError):
            return None

    obstacle(request.backend)  # imports it
    imported = time.perf_counter_ns()
    options = EngineOptions(
        threads=request.threads,
        size=(request.height, request.width),
        cache=None if request.cache is None else Path(request.cache),
    )
    engine = open_engine(load_bundle(Path(request.bundle)), request.backend, options=options)
    opened = time.perf_counter_ns()
    # Random numbers would be 15 ms of imports, counted as the first frame's.
    frame = np.resize(np.arange(251, dtype=np.uint8), (1, request.height, request.width, 3))
    engine.run(frame)
    first = time.perf_counter_ns()
    load = peak()
    forgotten = forget_peak()
    begun, frames = time.perf_counter_ns(), 0
    while frames < request.frames or time.perf_counter_ns() < begun + 1e9 * request.seconds:
        engine.run(frame)
        frames += 1
    ended = time.perf_counter_ns()
    steady = peak() if forgotten else None
    engine_facts = dict(engine.describe())
    engine.close()
    return Answer(began, imported, opened, first, ended, frames, load, steady, engine_facts)


def main(arguments: list[str]) -> int:
    """Answer one request, given as JSON; print the answer as JSON."""
    began = time.perf_counter_ns()
    try:
        made = answer(Request(**json.loads(arguments[0])), began=began)
    except StylepressError as error:
        sys.stderr.write(str(error))
        return REFUSED
    sys.stdout.write(json.dumps(asdict(made)) + "\n")
    return 0


def parse(text: str) -> Answer:
    """Read an answer; what a backend printed before it is passed over."""
    record: dict[str, Any] = json.loads(text.strip().splitlines()[-1])
    return Answer(**record)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Rows about how fast a command starts: each time in a fresh process."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from statistics import median

from stylepress.benchmarks.figures.rows import Row
from stylepress.errors import VerificationError

TIMES = 7
IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def start_rows(*, times: int = TIMES) -> Iterator[Row]:
    """Time the import of the runtime, and the shortest command as a whole; medians."""
    note = f"median of {times} fresh processes"
    inside = median(_import_s("stylepress.runtime") for _ in range(times))
    yield Row("import stylepress.runtime", inside, 0.25, "s", at_least=False, note=note)
    whole = median(
        _whole_s([sys.executable, "-m", "stylepress", "--version"]) for _ in range(times)
    )
    yield Row("stylepress --version, from start to end", whole, 0.4, "s", at_least=False, note=note)


def _import_s(module: str) -> float:
    return float(_run([sys.executable, "-c", IMPORT.format(module)]))


def _whole_s(command: Sequence[str], clock: Callable[[], float] = time.perf_counter) -> float:
    began = clock()
    _run(command)
    return clock() - began


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise VerificationError(
            f"`{' '.join(command[1:])}` ended with {done.returncode}: {done.stderr.strip()[-300:]}. "
            f"Install stylepress again."
        )
    return done.stdout

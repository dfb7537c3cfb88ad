"""One network in one engine, ours or another's."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.benchmarks.timing.systems import Run
from stylepress.errors import BackendError

LONGEST_S = 600


@dataclass(frozen=True, slots=True)
class Rival:
    """An engine by name and version, and how it runs a frame: (1, H, W, 3) uint8 to the same."""

    engine: str
    version: str
    precision: str
    run: Run


def converted(command: Sequence[str | Path], made: Path, *, engine: str, folder: Path) -> Path:
    """Run an engine's converter in a process of its own, inside ``folder``; return what it made.

    Raises:
        BackendError: it failed, or did not make the file.
    """
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=LONGEST_S,
        check=False,
    )
    if done.returncode or not made.is_file():
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise BackendError(
            f"{engine} cannot convert this network ({said[-1][:200] if said else 'it said nothing'}"
            f"). Leave it out, or try another version."
        )
    return made

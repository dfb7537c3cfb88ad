"""All rows of the README's table, group by group."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stylepress.benchmarks.figures.drift import drift_rows
from stylepress.benchmarks.figures.gate import gate_rows
from stylepress.benchmarks.figures.harness import harness_rows
from stylepress.benchmarks.figures.pictures import picture_rows
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped, shipped
from stylepress.benchmarks.figures.speed import SIZE, speed_rows
from stylepress.benchmarks.figures.start import start_rows
from stylepress.benchmarks.figures.video import video_rows
from stylepress.benchmarks.machine.record import Machine
from stylepress.benchmarks.quality.photos import Photo, read_photos
from stylepress.benchmarks.report import FOREIGN_LOAD
from stylepress.progress import Progress

PHOTOS = 8
PERIOD_S = 0.5
"""Minutes are watched, so more seldom than the seconds of a run."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the rows are measured with."""

    styles: Sequence[Shipped]
    photos: Sequence[Photo]
    work: Path
    progress: Progress

    @property
    def paths(self) -> list[Path]:
        """The photos' files."""
        return [photo.path for photo in self.photos if photo.path is not None]


GROUPS: Mapping[str, Callable[[Asked], Iterator[Row]]] = {
    "speed": lambda a: speed_rows(a.styles, a.photos, a.work, progress=a.progress),
    "pictures": lambda a: picture_rows(a.styles, a.photos, a.work, progress=a.progress),
    "video": lambda a: video_rows(
        a.styles, a.paths, a.work, environ=os.environ, progress=a.progress
    ),
    "start": lambda a: start_rows(),
    "harness": lambda a: harness_rows(),
    "drift": lambda a: drift_rows(a.styles, a.paths, progress=a.progress),
    "gate": lambda a: gate_rows(a.styles, a.work, environ=os.environ, progress=a.progress),
}


def asked(recipes: Path, work: Path, progress: Progress) -> Asked:
    """Return what the rows of what ships below ``recipes`` are measured with.

    Raises:
        StylepressError: nothing ships there, or it cannot be measured here.
    """
    heldout = recipes / "photos" / "heldout"
    photos = read_photos(heldout, SIZE, limit=PHOTOS, progress=progress)
    return Asked(shipped(recipes), photos, work, progress)


def warn_if_busy(machine: Machine, progress: Progress) -> None:
    """Say so when others are at work: every time would come out longer than it need be."""
    load, cores = machine.load_average, machine.cores or 1
    if load is not None and load > FOREIGN_LOAD * cores:
        progress.warn(
            f"This machine is busy (load average {load:.1f}): "
            f"what follows is slower than it could be."
        )

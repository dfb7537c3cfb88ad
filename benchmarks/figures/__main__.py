"""``python -m stylepress.benchmarks.figures``: every row of the README's table, measured here."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from stylepress.benchmarks.figures.drift import drift_rows
from stylepress.benchmarks.figures.gate import gate_rows
from stylepress.benchmarks.figures.harness import harness_rows
from stylepress.benchmarks.figures.pictures import picture_rows
from stylepress.benchmarks.figures.rows import Row, rewrite
from stylepress.benchmarks.figures.shipped import Shipped, shipped
from stylepress.benchmarks.figures.speed import SIZE, speed_rows
from stylepress.benchmarks.figures.start import start_rows
from stylepress.benchmarks.figures.video import video_rows
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.pictures.photos import Photo, read_photos
from stylepress.benchmarks.report import FOREIGN_LOAD
from stylepress.errors import StylepressError
from stylepress.options import terminal
from stylepress.progress import Progress

PHOTOS = 8


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


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a row; return 1 when a row is short, 2 when nothing can be measured."""
    options = _parser().parse_args(arguments)
    screen = terminal(quiet=options.quiet)
    rows: list[Row] = []
    machine = record_machine(os.environ)
    if machine.load_average is not None and machine.load_average > FOREIGN_LOAD * (
        machine.cores or 1
    ):
        screen.warn(
            f"This machine is busy (load average {machine.load_average:.1f}): "
            f"what follows is slower than it could be."
        )
    try:
        with screen, tempfile.TemporaryDirectory(prefix="stylepress-figures-") as work:
            asked = Asked(
                shipped(options.recipes),
                read_photos(
                    options.recipes / "photos" / "heldout", SIZE, limit=PHOTOS, progress=screen
                ),
                Path(work),
                screen,
            )
            for group in options.only or GROUPS:
                for row in GROUPS[group](asked):
                    rows.append(row)
                    if not options.json:
                        screen.show(row.line())
        if options.json:
            screen.show_json([row.record() for row in rows])
        if options.readme is not None:
            rewrite(options.readme, rows, measured_on(machine))
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    short = [row.name for row in rows if not row.ok]
    if short:
        screen.say(f"{len(short)} of {len(rows)} rows are short: {'; '.join(short)}.")
    return 1 if short else 0


def measured_on(machine: Machine) -> str:
    """Tell machine, versions and day in one line."""
    names = ("onnxruntime", "openvino", "torch")
    versions = ", ".join(f"{n} {machine.packages[n]}" for n in names if machine.packages[n])
    day = datetime.now(timezone.utc).date().isoformat()
    flags = " ".join(flag for flag in machine.flags or () if "vnni" in flag or "amx" in flag)
    return (
        f"Measured by `make figures` on {day}: {machine.cpu or machine.architecture}, "
        f"{machine.cores} cores{f' ({flags})' if flags else ''}, Python {machine.python}, "
        f"{versions}."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.figures",
        description="Measure every figure of the README's table; exit 1 when one is short.",
    )
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="GROUP")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="rewrite its table")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--quiet", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

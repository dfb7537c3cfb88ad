"""``python -m stylepress.benchmarks.evidence [TABLE ...]``: measure rows, write tables and documents."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple

from stylepress.benchmarks.evidence import (
    devices,
    engines,
    judged,
    pictures,
    power,
    program,
    speed,
    temporal,
    trainings,
    video,
)
from stylepress.benchmarks.evidence.documents import rewrite
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Limit,
    Provenance,
    Row,
    Table,
    least,
    most,
    promised,
    read_tables,
    write_table,
)
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Watch
from stylepress.errors import StylepressError
from stylepress.options import home, terminal
from stylepress.terminal import Terminal


class Part(NamedTuple):
    """Rows of a table that are measured at one go, and what is promised of them.

    ``timed`` rows count only when nobody else used the machine meanwhile.
    """

    table: str
    name: str
    measure: Callable[[Setting], Iterable[Row]]
    limits: Mapping[str, Limit]
    timed: bool = True


PARTS: tuple[Part, ...] = (
    Part("figures", "speed", speed.figures, {
        speed.OVER_EAGER: least(80, "x"),
        speed.OVER_FLOAT: least(40, "x"),
        speed.OVER_INT8: least(10, "x"),
    }),
    Part("figures", "pictures", pictures.figures, {
        "VGG style distance, teacher / photo": most(0.28, "x"),
        "VGG style distance, student / teacher": most(1.6, "x"),
        "VGG style distance, student / photo": most(0.35, "x"),
        "VGG fidelity of the student": most(0.45),
        "EffNet style distance, teacher / photo": most(0.50, "x"),
        "EffNet style distance, student / teacher": most(1.4, "x"),
        "EffNet fidelity of the student": most(0.55),
        pictures.PATCHES: most(1.25, "x"),
        pictures.STEADY: most(1.2, "x"),
        pictures.FOOTAGE: most(1.2, "x"),
        pictures.GRID: most(1.1, "x"),
        pictures.INT8: least(32, "dB"),
        pictures.SMALL: most(1 / 12, "of"),
    }, timed=False),
    Part("figures", "video", video.figures, {
        f"{video.RATE}, 1280x720": least(25, "frames/s"),
        f"{video.RATE}, 512x512": least(75, "frames/s"),
        video.BUSY: least(90, "%"),
        video.MEMORY: most(600, "MB"),
        video.GROWTH: most(1.05, "x"),
    }),
    Part("figures", "program", program.figures, {
        program.IMPORT: most(0.25, "s"),
        program.START: most(0.4, "s"),
    }),
    Part("figures", "training", program.training, {program.TRAINING: least(0.9, "x")}),
    Part("optimise", "optimise", program.optimising, {
        program.OPTIMISE: most(300, "s"),
        program.OPTIMISED: most(0.05),
    }),
    Part("speed", "speed", speed.rows, {}),
    Part("judged", "judged", judged.rows, {}, timed=False),
    Part("power", "power", power.rows, {}, timed=False),
    Part("engines", "engines", engines.rows, {
        engines.FASTER: least(1.2, "x"),
        engines.NEAR: least(35, "dB"),
        engines.BEYOND: most(3, "%"),
        engines.PRICE: most(8, "%"),
        engines.SHARE: least(40, "%"),
    }, timed=False),
    Part("devices", "devices", devices.rows, {devices.LOWERED: least(32, "dB")}, timed=False),
    Part("temporal", "temporal", temporal.figures, {
        temporal.WARPING: most(0.7, "x"),
        temporal.STYLE: most(1.05, "x"),
    }, timed=False),
    Part("trainings", "trainings", trainings.rows, {
        trainings.STEP: most(1.05, "x"),
        trainings.WAITING: most(5, "%"),
    }, timed=False),
)  # fmt: skip
"""Everything that is measured, by table."""
QUOTED = ("figures", "optimise", "speed", "judged", "power")
"""The tables that are measured when none is named. `make figures` measures the first, which takes
minutes; optimising one picture takes as long again."""
PERIOD_S = 0.5
"""Minutes are watched, so more seldom than the seconds of a run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure tables, print a line a row; with ``--write`` rewrite their files and the documents.

    A table that others disturbed is left as it is. Returns 1 when a row is short or disturbed, 2
    when nothing can be measured.
    """
    options, screen = _options(arguments), terminal()
    results = options.checkout / RESULTS
    wrong: list[str] = []
    try:
        with screen:
            if not options.documents:
                wrong += _measure(options, screen)
            if options.documents or options.write:
                for path in rewrite(options.checkout, read_tables(results)):
                    screen.say(f"Wrote {path}")
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    if wrong:
        screen.say(f"{len(wrong)} short or disturbed: {'; '.join(wrong)}.")
    return 1 if wrong else 0


def _measure(options: argparse.Namespace, screen: Terminal) -> Iterator[str]:
    """Measure tables; yield what of them is short or disturbed."""
    recipes, results = options.checkout / "recipes", options.checkout / RESULTS
    day = datetime.now(timezone.utc).date().isoformat()
    origin = Provenance.of(record_machine(os.environ), options.checkout, day=day)
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-evidence-") as work,
        Watch(period_s=PERIOD_S) as watch,
    ):
        setting = Setting(
            shipped(recipes), recipes, Path(work), screen, environ=os.environ, home=home()
        )
        for name in options.tables or QUOTED:
            rows, wrong = list[Row](), list[str]()
            for part in (part for part in PARTS if part.table == name):
                part_rows, why = measured(part, setting, watch)
                rows += part_rows
                screen.show("\n".join(row.line() for row in part_rows))
                wrong += [f"{part.name}, disturbed: {why}"] if why else []
            yield from wrong
            yield from (", ".join(filter(None, row.key)) for row in rows if row.verdict == "short")
            if options.write and rows and not wrong:
                results.mkdir(parents=True, exist_ok=True)
                screen.say(f"Wrote {write_table(Table(name, tuple(rows), origin), results)}")
                if name == "figures":
                    pictures.draw_poster(setting, options.checkout / "docs" / "styles.jpg")


def measured(part: Part, setting: Setting, watch: Watch) -> tuple[list[Row], str]:
    """Measure a part; tell who disturbed it.

    What is promised and could not be measured is a row without a number, which is short.
    """
    began_ns = perf_counter_ns()
    rows = [promised(row, part.limits.get(row.figure)) for row in part.measure(setting)]
    absent = part.limits.keys() - {row.figure for row in rows}
    rows += [promised(Row(name, float("nan")), part.limits[name]) for name in sorted(absent)]
    reasons = watch.judged(Window(began_ns, perf_counter_ns())).reasons if part.timed else ()
    return rows, "; ".join(reasons)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    tables = list(dict.fromkeys(part.table for part in PARTS))
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.evidence",
        description="Measure what README and docs quote; exit 1 when a row is short or disturbed.",
    )
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE",
        help=f"some of {', '.join(tables)}; {', '.join(QUOTED)} when none is named",
    )  # fmt: skip
    parser.add_argument("--checkout", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--write", action="store_true", help="write the tables and documents")
    parser.add_argument(
        "--documents", action="store_true", help="measure nothing, rewrite the documents"
    )
    options = parser.parse_args(arguments)
    if unknown := {*options.tables} - {*tables}:
        parser.error(f"no table is called {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""``python -m stylepress.benchmarks.evidence [TABLE[/PART] ...]``: measure rows, write tables and documents."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter_ns
from typing import NamedTuple

from stylepress.benchmarks.evidence import (
    devices,
    engines,
    few_steps,
    int8,
    judged,
    pictures,
    power,
    program,
    pruned,
    search,
    speed,
    students,
    trainings,
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
    limits: Mapping[str, Limit] = {}
    timed: bool = False


PARTS: tuple[Part, ...] = (
    Part("figures", "speed", speed.figures, {
        speed.OVER_EAGER: least(80, "x"),
        speed.OVER_FLOAT: least(40, "x"),
        speed.OVER_INT8: least(10, "x"),
    }, timed=True),
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
    }),
    Part("figures", "video", program.video, {
        f"{program.RATE}, 1280x720": least(25, "frames/s"),
        f"{program.RATE}, 512x512": least(75, "frames/s"),
        program.BUSY: least(90, "%"),
        program.MEMORY: most(600, "MB"),
        program.GROWTH: most(1.05, "x"),
    }, timed=True),
    Part("figures", "program", program.starts, {
        program.IMPORT: most(0.25, "s"),
        program.START: most(0.4, "s"),
    }, timed=True),
    Part("figures", "training", trainings.figures, {
        trainings.TRAINING: least(0.9, "x"),
    }, timed=True),
    Part("optimise", "optimise", program.optimising, {
        program.OPTIMISE: most(300, "s"),
        program.OPTIMISED: most(0.05),
    }, timed=True),
    Part("speed", "speed", speed.rows, timed=True),
    Part("judged", "judged", judged.rows),
    Part("power", "power", power.rows),
    Part("engines", "engines", engines.rows, {
        engines.FASTER: least(1.2, "x"),
        engines.NEAR: least(35, "dB"),
        engines.BEYOND: most(3, "%"),
        engines.PRICE: most(8, "%"),
        engines.SHARE: least(40, "%"),
    }),
    Part("devices", "devices", devices.rows, {devices.LOWERED: least(32, "dB")}),
    Part("temporal", "temporal", students.temporal, {
        students.WARPING: most(0.7, "x"),
        students.STYLE: most(1.05, "x"),
    }),
    Part("trainings", "trainings", trainings.rows, {
        trainings.STEP: most(1.05, "x"),
        trainings.WAITING: most(5, "%"),
    }),
    Part("library", "library", students.library, {students.NEAR: most(1.25, "x")}),
    Part("compression", "translator", students.translator, {
        students.FEWER: least(22, "x"),
        students.RERUN: most(3, "x"),
    }),
    Part("compression", "distilled", students.distilled, {students.SHORTER: most(-20, "%")}),
    Part("compression", "frozen", pruned.frozen),
    Part("compression", "calibration", int8.calibration, {
        int8.PEAK.format(count): most(2.5e9 / 2**30, "GiB") for count in int8.COUNTS
    }),
    Part("compression", "prune", pruned.rows, {
        pruned.TIME: most(0.7, "x"),
        pruned.STYLED.format("vgg"): most(5, "%"),
        pruned.STYLED.format("effnet"): most(5, "%"),
    }),
    Part("compression", "sampler", few_steps.rows, {
        few_steps.NEARNESS: most(1.3, "x"),
        few_steps.SPEED: least(7, "x"),
    }),
    Part("compression", "int8", int8.rows, {
        int8.SPEED: least(2.5, "x"),
        int8.BYTES: least(70, "%"),
        int8.DISTANCE: least(35, "dB"),
    }),
    Part("compression", "latency", search.latency, {search.ERROR: most(12, "%")}),
    Part("compression", "layers", int8.layers),
    Part("compression", "fronts", search.fronts),
    Part("compression", "fit", search.beside),
)  # fmt: skip
"""Everything that is measured, by table."""
PEERS = ("NNCF", "ONNX Runtime", "torch-pruning", "student wide")
"""Subjects that stand beside: of them nothing is promised."""
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
    wrong: list[str] = []
    try:
        with screen:
            if not options.documents:
                wrong += _measure(options, screen)
            if options.documents or options.write:
                for path in rewrite(options.checkout, read_tables(options.checkout / RESULTS)):
                    screen.say(f"Wrote {path}")
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    if wrong:
        screen.say(f"{len(wrong)} short or disturbed: {'; '.join(wrong)}.")
    return 1 if wrong else 0


def _measure(options: argparse.Namespace, screen: Terminal) -> Iterator[str]:
    """Measure tables; yield what of them is short or disturbed.

    Of a table of which only some parts are measured the other rows stay.
    """
    recipes, results = options.checkout / "recipes", options.checkout / RESULTS
    day = datetime.now(timezone.utc).date().isoformat()
    origin = Provenance.of(record_machine(os.environ), options.checkout, day=day)
    with ExitStack() as stack:
        work = options.work or Path(stack.enter_context(tempfile.TemporaryDirectory()))
        work.mkdir(parents=True, exist_ok=True)
        watch = stack.enter_context(Watch(period_s=PERIOD_S))
        styles = shipped(recipes)
        setting = Setting(styles, recipes, work, screen, environ=os.environ, home=home())
        for name in dict.fromkeys(part.table for part in options.parts):
            rows, wrong = list[Row](), list[str]()
            parts = [part for part in options.parts if part.table == name]
            for part in parts:
                part_rows, why = measured(part, setting, watch)
                rows += part_rows
                screen.show("\n".join(row.line() for row in part_rows))
                wrong += [f"{part.name}, disturbed: {why}"] if why else []
            yield from wrong
            yield from (", ".join(filter(None, row.key)) for row in rows if row.verdict == "short")
            if options.write and rows and not wrong:
                table = Table(name, tuple(rows), origin)
                if len(parts) < sum(part.table == name for part in PARTS):
                    table = table.within(read_tables(results).get(name))
                screen.say(f"Wrote {write_table(table, results)}")
                if name == "figures":
                    pictures.draw_poster(setting, options.checkout / "docs" / "styles.jpg")


def measured(part: Part, setting: Setting, watch: Watch) -> tuple[list[Row], str]:
    """Measure a part; tell who disturbed it.

    What is promised and could not be measured is a row without a number, which is short.
    """
    began_ns = perf_counter_ns()
    rows = [
        row if row.subject.startswith(PEERS) else promised(row, part.limits.get(row.figure))
        for row in part.measure(setting)
    ]
    absent = part.limits.keys() - {row.figure for row in rows}
    rows += [promised(Row(name, float("nan")), part.limits[name]) for name in sorted(absent)]
    reasons = watch.judged(Window(began_ns, perf_counter_ns())).reasons if part.timed else ()
    return rows, "; ".join(reasons)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.evidence",
        description="Measure what README and docs quote; exit 1 when a row is short or disturbed.",
    )
    tables = dict.fromkeys(part.table for part in PARTS)
    parser.add_argument(
        "tables", nargs="*", metavar="TABLE[/PART]",
        help=f"some of {', '.join(tables)}; {', '.join(QUOTED)} when none is named",
    )  # fmt: skip
    parser.add_argument("--checkout", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--work", type=Path, metavar="DIR", help="keep what is made, and go on")
    parser.add_argument("--write", action="store_true", help="write the tables and documents")
    parser.add_argument(
        "--documents", action="store_true", help="measure nothing, rewrite the documents"
    )
    options = parser.parse_args(arguments)
    wanted = set(options.tables or QUOTED)
    options.parts = [part for part in PARTS if wanted & {part.table, f"{part.table}/{part.name}"}]
    known = {word for part in options.parts for word in (part.table, f"{part.table}/{part.name}")}
    if unknown := wanted - known:
        parser.error(f"no table is called {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main())

"""``python -m stylepress.benchmarks.evidence [TABLE ...]``: measure rows, write tables and documents."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter_ns

from stylepress.benchmarks.evidence.copies import copy_figures
from stylepress.benchmarks.evidence.documents import rewrite
from stylepress.benchmarks.evidence.drift import drift_figures, judged_rows
from stylepress.benchmarks.evidence.gate import gate_figures, power_rows
from stylepress.benchmarks.evidence.optimised import optimised_rows
from stylepress.benchmarks.evidence.pictures import draw_posters, loss_rows, picture_figures
from stylepress.benchmarks.evidence.program import harness_figures, start_figures
from stylepress.benchmarks.evidence.roof import roof_rows
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Provenance,
    Row,
    Table,
    read_tables,
    write_table,
)
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.evidence.speed import speed_figures, speed_rows, together_rows
from stylepress.benchmarks.evidence.video import video_figures
from stylepress.benchmarks.machine.record import Machine, record_machine
from stylepress.benchmarks.machine.timeline import Window
from stylepress.benchmarks.machine.watch import Limits, Watch
from stylepress.errors import StylepressError
from stylepress.options import terminal
from stylepress.progress import Progress
from stylepress.terminal import Terminal

Maker = Callable[[Setting], Iterator[Row]]
TABLES: Mapping[str, Mapping[str, Maker]] = {
    "figures": {
        "speed": speed_figures,
        "pictures": picture_figures,
        "copies": copy_figures,
        "video": video_figures,
        "start": start_figures,
        "harness": harness_figures,
        "drift": drift_figures,
        "gate": gate_figures,
    },
    "speed": {"speed": speed_rows},
    "loss": {"loss": loss_rows},
    "together": {"together": together_rows},
    "optimised": {"optimised": optimised_rows},
    "judged": {"judged": judged_rows},
    "power": {"power": power_rows},
    "roof": {"roof": roof_rows},
}
"""The parts of every table. A part is measured at one go."""
TRIES = 2
"""How often what is to be written is measured when others disturb it."""
PERIOD_S = 0.5
"""Minutes are watched, so more seldom than the seconds of a run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure tables, print a line a row; with ``--write`` rewrite their files and the documents.

    A table that others disturbed is left as it is. Returns 1 when a row is short or disturbed, 2
    when nothing can be measured.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if unknown := {*options.tables} - {*TABLES}:
        parser.error(f"no table is called {', '.join(sorted(unknown))}")
    checkout: Path = options.checkout
    screen, wrong = terminal(quiet=options.quiet), list[str]()
    try:
        with screen:
            if not options.documents:
                wrong += _measure(options, screen)
            if options.documents or options.write:
                for path in rewrite(checkout, read_tables(checkout / RESULTS)):
                    screen.say(f"Wrote {path}")
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    if wrong:
        screen.say(f"{len(wrong)} short or disturbed: {'; '.join(wrong)}.")
    return 1 if wrong else 0


def _measure(options: argparse.Namespace, screen: Terminal) -> Iterator[str]:
    """Measure tables; yield what of them is short or disturbed."""
    machine = record_machine(os.environ)
    _warn_if_busy(machine, screen)
    day = datetime.now(timezone.utc).date().isoformat()
    recipes: Path = options.checkout / "recipes"
    shown: list[Row] = []
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-evidence-") as work,
        Watch(period_s=PERIOD_S) as watch,
    ):
        styles, free = shipped(recipes), machine.memory_free_gib
        setting = Setting(styles, recipes, Path(work), screen, free, os.environ)
        for name in options.tables or TABLES:
            rows, spoiled = list[Row](), False
            for part, make in TABLES[name].items():
                if options.only and part not in options.only:
                    continue
                found, why = measured(
                    part,
                    lambda: list(make(setting)),  # noqa: B023
                    watch,
                    progress=screen,
                    tries=TRIES if options.write else 1,
                )
                rows += found
                if not options.json:
                    screen.show("\n".join(row.line() for row in found))
                if why:
                    screen.warn(f"{part} was disturbed: {why}. Measure it again.")
                    yield f"{part} ({why})"
                    spoiled = True
            yield from (row.figure for row in rows if row.verdict == "short")
            shown += rows
            if options.write and not spoiled and not options.only:
                table = Table(name, tuple(rows), Provenance.of(machine, options.checkout, day=day))
                _write(table, setting, options.checkout)
    if options.json:
        screen.show_json([row.record() for row in shown])


def measured(
    what: str,
    make: Callable[[], list[Row]],
    watch: Watch,
    *,
    progress: Progress,
    tries: int,
) -> tuple[list[Row], str]:
    """Measure ``what`` until nobody disturbed it, ``tries`` times at most; tell who did at the end.

    The whole time is judged, its mean load among others: a short burst in a long part spoils some
    rounds of it, which medians over the rounds bear.
    """
    for left in reversed(range(tries)):
        began_ns = perf_counter_ns()
        rows = make()
        why = "; ".join(watch.judged(Window(began_ns, perf_counter_ns())).reasons)
        if not why:
            break
        if left:
            progress.warn(f"{what} is measured again: {why}.")
    return rows, why


def _write(table: Table, setting: Setting, checkout: Path) -> None:
    screen = setting.progress
    if not table.rows:
        screen.warn(f"{table.name}.csv is left as it is. Nothing of it can be measured here.")
        return
    (checkout / RESULTS).mkdir(parents=True, exist_ok=True)
    screen.say(f"Wrote {write_table(table, checkout / RESULTS)}")
    if table.name == "loss":
        for path in draw_posters(setting, checkout / "docs"):
            screen.say(f"Wrote {path}")


def _warn_if_busy(machine: Machine, progress: Progress) -> None:
    load, cores = machine.load_average, machine.cores or 1
    if load is not None and load > Limits().foreign_load * cores:
        progress.warn(
            f"This machine is busy (load average {load:.1f}): "
            f"what follows is slower than it could be."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.evidence",
        description="Measure what README and docs quote; exit 1 when a row is short or disturbed.",
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help=f"some of {', '.join(TABLES)}")
    parser.add_argument("--checkout", type=Path, default=Path(), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=[*TABLES["figures"]], metavar="PART")
    parser.add_argument("--write", action="store_true", help="write the tables and documents")
    parser.add_argument(
        "--documents", action="store_true", help="measure nothing, rewrite the documents"
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--quiet", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

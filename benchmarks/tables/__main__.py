"""``python -m stylepress.benchmarks.tables``: measure every quoted figure, rewrite the documents."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path

from stylepress.benchmarks.figures.measured import measured_rows, warn_if_busy
from stylepress.benchmarks.figures.result import Result, Results, unique
from stylepress.benchmarks.figures.shipped import shipped
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.tables.blocks import refill
from stylepress.benchmarks.tables.documents import GENERATED, parts
from stylepress.benchmarks.tables.judged import judged_results
from stylepress.benchmarks.tables.loss import loss_results
from stylepress.benchmarks.tables.optimised import optimised_results
from stylepress.benchmarks.tables.poster import draw_poster
from stylepress.benchmarks.tables.power import power_results
from stylepress.benchmarks.tables.provenance import RESULTS, provenance
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.tables.speed import speed_results
from stylepress.benchmarks.tables.store import read_results, write_results
from stylepress.benchmarks.tables.together import together_results
from stylepress.errors import StylepressError
from stylepress.options import terminal

TABLES: Mapping[str, Callable[[Setting], Iterator[Result]]] = {
    "speed": speed_results,
    "loss": loss_results,
    "together": together_results,
    "optimised": optimised_results,
    "judged": judged_results,
    "power": lambda setting: power_results(),
}
FIGURES = "figures"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write a CSV file a table, and rewrite the documents from all of them."""
    options = _parser().parse_args(arguments)
    checkout: Path = options.checkout
    folder = checkout / RESULTS
    screen = terminal(quiet=options.quiet)
    day = datetime.now(timezone.utc).date().isoformat()
    try:
        with screen, tempfile.TemporaryDirectory(prefix="stylepress-results-") as work:
            machine = record_machine(os.environ)
            warn_if_busy(machine, screen)
            made = provenance(machine, checkout, day=day)
            recipes = checkout / "recipes"
            setting = Setting(
                shipped(recipes), recipes, Path(work), screen, machine.memory_free_gib
            )
            folder.mkdir(parents=True, exist_ok=True)
            for name in () if options.documents else options.only or (*TABLES, FIGURES):
                rows = measured_rows(recipes, Path(work), screen) if name == FIGURES else None
                found = TABLES[name](setting) if rows is None else (row.result() for row in rows)
                if not (kept := unique(found)):
                    screen.warn(f"{name}.csv is left as it is. Nothing of it can be measured here.")
                    continue
                screen.say(f"Wrote {write_results(Results(name, kept, made), folder)}")
                if name == "loss" and (picture := draw_poster(setting, checkout)):
                    screen.say(f"Wrote {picture}")
            tables = {path.stem: read_results(path) for path in sorted(folder.glob("*.csv"))}
            written = parts(tables)
            for document, names in GENERATED.items():
                known = {name: written[name] for name in names if name in written}
                if known:
                    refill(checkout / document, known)
                    screen.say(f"Wrote {checkout / document}")
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.tables",
        description="Measure every figure that README and docs quote, and write them there.",
    )
    parser.add_argument("--checkout", type=Path, default=Path(), metavar="DIR")
    some = parser.add_mutually_exclusive_group()
    some.add_argument("--only", nargs="+", choices=[*TABLES, FIGURES], metavar="TABLE")
    some.add_argument(
        "--documents", action="store_true", help="measure nothing, rewrite the documents"
    )
    parser.add_argument("--quiet", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

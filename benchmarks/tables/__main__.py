"""``python -m stylepress.benchmarks.tables``: measure every quoted figure, rewrite the documents."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from stylepress.benchmarks.figures.measured import GROUPS, PERIOD_S, Asked, asked, warn_if_busy
from stylepress.benchmarks.figures.result import Result, Results, unique
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import shipped
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.machine.undisturbed import measured
from stylepress.benchmarks.machine.watch import Watch
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
from stylepress.progress import Progress

TABLES: Mapping[str, Callable[[Setting], Iterator[Result]]] = {
    "speed": speed_results,
    "loss": loss_results,
    "together": together_results,
    "optimised": optimised_results,
    "judged": judged_results,
    "power": lambda setting: power_results(),
}
FIGURES = "figures"
TRIES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write a CSV file a table, and rewrite the documents from all of them.

    A table that others disturbed twice is left as it is; 1 is returned then.
    """
    options = _parser().parse_args(arguments)
    checkout: Path = options.checkout
    screen = terminal(quiet=options.quiet)
    disturbed: list[str] = []
    try:
        with screen:
            if not options.documents:
                disturbed += _measure(options.only or (*TABLES, FIGURES), checkout, screen)
            _rewrite(checkout, screen)
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    return 1 if disturbed else 0


def _measure(names: Sequence[str], checkout: Path, screen: Progress) -> Iterator[str]:
    """Measure tables and write them; yield those that others disturbed."""
    day = datetime.now(timezone.utc).date().isoformat()
    with (
        tempfile.TemporaryDirectory(prefix="stylepress-results-") as work,
        Watch(period_s=PERIOD_S) as watch,
    ):
        machine = record_machine(os.environ)
        warn_if_busy(machine, screen)
        made = provenance(machine, checkout, day=day)
        recipes = checkout / "recipes"
        setting = Setting(shipped(recipes), recipes, Path(work), screen, machine.memory_free_gib)
        for name in names:
            rows: list[Result] = []
            for part, make in _parts(name, setting):
                found = measured(part, make, watch, progress=screen, tries=TRIES)
                if found.disturbed:
                    screen.warn(f"{name}.csv is left as it is. {part} was disturbed: {found.why}.")
                    yield name
                    break
                rows += found.values
            else:
                _write(Results(name, unique(rows), made), setting, checkout)


def _parts(name: str, setting: Setting) -> Iterator[tuple[str, Callable[[], Iterable[Result]]]]:
    """Yield what of a table is measured at one go: all of it, or one group of figures."""
    if name != FIGURES:
        yield name, partial(TABLES[name], setting)
        return
    given = asked(setting.recipes, setting.work, setting.progress)
    for group, rows in GROUPS.items():
        yield group, partial(_results, rows, given)


def _results(rows: Callable[[Asked], Iterator[Row]], given: Asked) -> Iterator[Result]:
    return (row.result() for row in rows(given))


def _write(results: Results, setting: Setting, checkout: Path) -> None:
    screen = setting.progress
    if not results.rows:
        screen.warn(f"{results.name}.csv is left as it is. Nothing of it can be measured here.")
        return
    folder = checkout / RESULTS
    folder.mkdir(parents=True, exist_ok=True)
    screen.say(f"Wrote {write_results(results, folder)}")
    if results.name == "loss" and (picture := draw_poster(setting, checkout)):
        screen.say(f"Wrote {picture}")


def _rewrite(checkout: Path, screen: Progress) -> None:
    """Rewrite the documents from all tables."""
    paths = sorted((checkout / RESULTS).glob("*.csv"))
    written = parts({path.stem: read_results(path) for path in paths})
    for document, names in GENERATED.items():
        known = {name: written[name] for name in names if name in written}
        if known:
            refill(checkout / document, known)
            screen.say(f"Wrote {checkout / document}")


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

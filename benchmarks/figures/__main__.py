"""``python -m stylepress.benchmarks.figures``: every row of the README's table, measured here."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from stylepress.benchmarks.figures.measured import GROUPS, PERIOD_S, asked, warn_if_busy
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.machine.record import record_machine
from stylepress.benchmarks.machine.undisturbed import measured
from stylepress.benchmarks.machine.watch import Watch
from stylepress.errors import StylepressError
from stylepress.options import terminal


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print a line a row.

    Returns 1 when a row is short or others disturbed it, 2 when nothing can be measured.
    """
    options = _parser().parse_args(arguments)
    screen = terminal(quiet=options.quiet)
    rows: list[Row] = []
    disturbed: list[str] = []
    warn_if_busy(record_machine(os.environ), screen)
    try:
        with (
            screen,
            tempfile.TemporaryDirectory(prefix="stylepress-figures-") as work,
            Watch(period_s=PERIOD_S) as watch,
        ):
            given = asked(options.recipes, Path(work), screen)
            for group in options.only or GROUPS:
                found = measured(group, partial(GROUPS[group], given), watch, progress=screen)
                rows += found.values
                if not options.json:
                    screen.show("\n".join(row.line() for row in found.values))
                if found.disturbed:
                    disturbed.append(group)
                    screen.warn(f"{group} was disturbed: {found.why}. Measure it again.")
        if options.json:
            screen.show_json([row.record() for row in rows])
    except StylepressError as error:
        screen.error(str(error))
        return error.exit_code
    short = [row.name for row in rows if not row.ok]
    if short:
        screen.say(f"{len(short)} of {len(rows)} rows are short: {'; '.join(short)}.")
    return 1 if short or disturbed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m stylepress.benchmarks.figures",
        description="Measure every figure of the README's table; exit 1 when one is short or disturbed.",
    )
    parser.add_argument("--recipes", type=Path, default=Path("recipes"), metavar="DIR")
    parser.add_argument("--only", nargs="+", choices=list(GROUPS), metavar="GROUP")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    parser.add_argument("--quiet", action="store_true")
    return parser


if __name__ == "__main__":
    sys.exit(main())

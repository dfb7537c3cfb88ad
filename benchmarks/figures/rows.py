"""One figure: what was measured, what was promised, and whether it is kept."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stylepress.errors import InputError, OutputError
from stylepress.replace import replacing_file

BEGIN, END = "<!-- figures -->", "<!-- /figures -->"


@dataclass(frozen=True, slots=True)
class Row:
    """A value and its bar, in ``unit``; a value that is no number is short.

    ``at_least`` says on which side of the bar is good. ``note`` tells how it was measured.
    """

    name: str
    value: float
    bar: float
    unit: str
    at_least: bool
    note: str = ""

    @property
    def ok(self) -> bool:
        """Whether the bar is reached; a bar is reached by being equal to it."""
        if not math.isfinite(self.value):
            return False
        return self.value >= self.bar if self.at_least else self.value <= self.bar

    @property
    def verdict(self) -> str:
        """``ok`` or ``short``."""
        return "ok" if self.ok else "short"

    @property
    def shown(self) -> str:
        """The value with its unit."""
        return _written(self.value, self.unit)

    @property
    def promise(self) -> str:
        """The bar with its side and unit."""
        return f"{'≥' if self.at_least else '≤'} {_written(self.bar, self.unit)}"

    def line(self) -> str:
        """Return name, value, bar, verdict, on one line."""
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:<58} {self.shown:>11}  {self.promise:<12} {self.verdict}{note}"

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        value = self.value if math.isfinite(self.value) else None
        return {**asdict(self), "value": value, "verdict": self.verdict}


def table(rows: Sequence[Row], measured_on: str) -> str:
    """Return the rows as a Markdown table, and below it where they were measured."""
    lines = ["| figure | measured | promised | |", "|---|--:|--:|---|"]
    lines += [f"| {row.name} | {row.shown} | {row.promise} | {row.verdict} |" for row in rows]
    return "\n".join([*lines, "", measured_on])


def rewrite(readme: Path, rows: Sequence[Row], measured_on: str) -> None:
    """Replace what stands between the two markers of a README.

    Raises:
        InputError: the file has not exactly one pair of markers, in order.
        OutputError: it cannot be written.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"{readme} cannot be read ({error.strerror}). Name the README that holds the table."
        ) from error
    pattern = re.compile(re.escape(BEGIN) + ".*?" + re.escape(END), re.DOTALL)
    if len(pattern.findall(text)) != 1 or text.count(BEGIN) != 1 or text.count(END) != 1:
        raise InputError(
            f"{readme} does not hold one pair of the markers {BEGIN} and {END}. "
            f"Put both, each on its own line, where the table belongs."
        )
    made = f"{BEGIN}\n{table(rows, measured_on)}\n{END}"
    with replacing_file(readme) as beside:
        beside.write_text(pattern.sub(lambda _: made, text), encoding="utf-8")


def _written(value: float, unit: str) -> str:
    """Write a value.

    >>> _written(98.76, "x"), _written(1.0449, "x"), _written(0.0371, "of"), _written(25, "fps")
    ('98.8x', '1.04x', '1/27.0', '25.0 fps')
    """
    if not math.isfinite(value):
        return "none"
    if unit == "of":
        return f"1/{1 / value:.1f}" if value else "0"
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    text = f"{value:.{digits}f}"
    return f"{text}{unit}" if unit == "x" else f"{text} {unit}"

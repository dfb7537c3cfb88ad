"""One measured figure, what is promised of it, tables of figures, and how they rest in CSV files."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

from stylepress import __version__
from stylepress.benchmarks.machine.record import Machine, commit
from stylepress.errors import ArtifactError, InputError
from stylepress.replace import replacing_file

DIGITS = 5
"""Significant digits that are kept: more than any of these figures has."""
RESULTS = "benchmarks/results"
APART = (RESULTS, "*.md")
"""The tables themselves, and the documents they are written into, do not count as changes."""
PACKAGES = ("onnxruntime", "openvino", "torch")


class Limit(NamedTuple):
    """What is promised of a figure: at least (``≥``) or at most (``≤``) ``bar``; equal keeps it."""

    side: Literal["≥", "≤"]
    bar: float
    unit: str


def least(bar: float, unit: str = "") -> Limit:
    """Promise at least so much."""
    return Limit("≥", bar, unit)


def most(bar: float, unit: str = "") -> Limit:
    """Promise at most so much."""
    return Limit("≤", bar, unit)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of one subject.

    ``subject`` is a style, model or preset, ``engine`` what runs it, ``size`` the frame as WxH.
    ``low`` and ``high`` bound ``value`` with 95 % confidence. ``digest`` is the artifact's, ``note``
    what a reader should know. ``promise`` is what is promised, and ``verdict`` whether it is kept.
    """

    figure: str
    value: float
    unit: str = ""
    subject: str = ""
    engine: str = ""
    precision: str = ""
    size: str = ""
    low: float | None = None
    high: float | None = None
    digest: str = ""
    promise: str = ""
    verdict: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What no other row of its table has."""
        return self.figure, self.subject, self.engine, self.precision, self.size

    @property
    def shown(self) -> str:
        """The value with its unit, as tables write it."""
        return written(self.value, self.unit)

    def line(self) -> str:
        """Return what it is of, value, promise, verdict, on one line."""
        name = ", ".join(part for part in self.key if part)
        note = f"  ({self.note})" if self.note else ""
        return f"{name:<62} {self.shown:>11}  {self.promise:<16} {self.verdict}{note}".rstrip()


def promised(row: Row, limit: Limit | None) -> Row:
    """Return a row with what is promised of it, and whether that is kept; as it is without a limit.

    >>> promised(Row("speed", 98.76, "x"), least(80, "x")).verdict
    'ok'
    """
    if limit is None:
        return row
    kept = row.value >= limit.bar if limit.side == "≥" else row.value <= limit.bar
    promise = f"{limit.side} {written(limit.bar, limit.unit)}"
    verdict = "ok" if kept and math.isfinite(row.value) else "short"
    return replace(row, unit=limit.unit, promise=promise, verdict=verdict)


def written(value: float, unit: str) -> str:
    """Write a value as tables do: three significant digits, "of" as a fraction.

    >>> written(98.76, "x"), written(1.0449, "x"), written(0.0371, "of"), written(25, "fps")
    ('98.8x', '1.04x', '1/27.0', '25.0 fps')
    """
    if not math.isfinite(value):
        return "none"
    if unit == "of":
        return f"1/{1 / value:.1f}" if value else "0"
    size = abs(value)
    text = f"{value:.{0 if size >= 100 else 1 if size >= 10 else 2}f}"
    return f"{text}{unit}" if unit == "x" else f"{text} {unit}".rstrip()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where and when a table was measured. ``commit`` ends in ``+`` when files were changed."""

    measured: str
    stylepress: str
    commit: str
    cpu: str
    cores: str
    python: str
    packages: str

    @classmethod
    def of(cls, machine: Machine, checkout: Path, *, day: str) -> Provenance:
        """Describe this machine and the checkout that is measured; ``day`` is today, ISO 8601."""
        flags = " ".join(flag for flag in machine.flags or () if "vnni" in flag or "amx" in flag)
        cores = f"{machine.cores} core{'' if machine.cores == 1 else 's'}"
        known = [(name, machine.packages.get(name)) for name in PACKAGES]
        return cls(
            measured=day,
            stylepress=__version__,
            commit=commit(checkout, apart=APART),
            cpu=machine.cpu or machine.architecture,
            cores=f"{cores} ({flags})" if flags else cores,
            python=machine.python,
            packages=", ".join(f"{name} {version}" for name, version in known if version),
        )

    def line(self) -> str:
        """Tell it in the line that stands below a table."""
        commit = f", commit {self.commit}" if self.commit else ""
        return (
            f"Measured on {self.measured}{commit}: {self.cpu}, {self.cores}, "
            f"Python {self.python}, {self.packages}."
        )


@dataclass(frozen=True, slots=True)
class Table:
    """Rows in the order they were measured, each of another key, and where that was.

    Raises:
        InputError: two rows have one key.
    """

    name: str
    rows: tuple[Row, ...]
    origin: Provenance

    def __post_init__(self) -> None:
        keys = [row.key for row in self.rows]
        twice = next((key for key in keys if keys.count(key) > 1), None)
        if twice:
            raise InputError(f"Two results are named {twice}.", "Name each differently.")

    def within(self, other: Table | None) -> Table:
        """Return the rows of another table as well, with these in the place of those of one key.

        A figure that could not be measured then, and can now, keeps no row without a number.
        """
        known = {row.figure for row in self.rows}
        rows = {
            row.key: row
            for row in (other.rows if other else ())
            if row.subject or row.figure not in known or math.isfinite(row.value)
        } | {row.key: row for row in self.rows}
        return replace(self, rows=tuple(rows.values()))


COLUMNS = [field.name for field in fields(Row)]
ORIGIN = [field.name for field in fields(Provenance)]


def write_table(table: Table, folder: Path) -> Path:
    """Write ``NAME.csv`` below a folder; return the file.

    Raises:
        OutputError: the folder cannot be written to.
    """
    lines = [asdict(row) | asdict(table.origin) for row in table.rows]
    with (
        replacing_file(folder / f"{table.name}.csv") as beside,
        beside.open("w", encoding="utf-8", newline="") as file,
    ):
        sheet = csv.DictWriter(file, [*COLUMNS, *ORIGIN], lineterminator="\n")
        sheet.writeheader()
        sheet.writerows({name: _cell(value) for name, value in line.items()} for line in lines)
    return folder / f"{table.name}.csv"


def read_table(path: Path) -> Table:
    """Read one table.

    Raises:
        ArtifactError: missing, or not such a table.
    """
    try:
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
        origins = {Provenance(**{name: line[name] for name in ORIGIN}) for line in lines}
        if len(origins) != 1:
            raise ValueError("it has no rows, or rows of different times or places")
        return Table(path.stem, tuple(map(_row, lines)), origins.pop())
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ArtifactError(
            f"{path} cannot be read as a table of results ({type(error).__name__}: {error}).",
            "Measure it with `make results`.",
        ) from error


def read_tables(folder: Path) -> dict[str, Table]:
    """Read all tables of a folder, by their names."""
    return {path.stem: read_table(path) for path in sorted(folder.glob("*.csv"))}


def _row(line: Mapping[str, str]) -> Row:
    known: dict[str, Any] = {name: line[name] for name in COLUMNS}
    ends = {name: float(known[name]) if known[name] else None for name in ("low", "high")}
    return Row(**known | ends | {"value": float(known["value"])})


def _cell(value: object) -> str:
    """Write a cell.

    >>> _cell(None), _cell(12.3456789), _cell("a"), _cell(1234567.0)
    ('', '12.346', 'a', '1234567')
    """
    if not isinstance(value, float | int):
        return "" if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 10**DIGITS else f"{value:.{DIGITS}g}"

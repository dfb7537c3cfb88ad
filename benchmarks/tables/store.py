"""Tables of results at rest: CSV files that say of every row where it comes from."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path

from stylepress.benchmarks.figures.result import DIGITS, Provenance, Result, Results, unique
from stylepress.errors import ArtifactError
from stylepress.replace import replacing_file

FIGURES = [field.name for field in fields(Result)]
ORIGIN = [field.name for field in fields(Provenance)]
LIMIT_BYTES = 4 << 20


def write_results(results: Results, folder: Path) -> Path:
    """Write ``NAME.csv`` below a folder; return the file.

    Raises:
        OutputError: the folder cannot be written to.
    """
    text = io.StringIO()
    sheet = csv.DictWriter(text, [*FIGURES, *ORIGIN], lineterminator="\n")
    sheet.writeheader()
    for row in results.rows:
        values = {name: _cell(value) for name, value in asdict(row).items()}
        sheet.writerow(values | asdict(results.made))
    path = folder / f"{results.name}.csv"
    with replacing_file(path) as beside:
        beside.write_text(text.getvalue(), encoding="utf-8")
    return path


def read_results(path: Path) -> Results:
    """Read one table.

    Raises:
        ArtifactError: missing, too large, or not such a table.
    """
    try:
        if path.stat().st_size > LIMIT_BYTES:
            raise ValueError(f"larger than {LIMIT_BYTES >> 20} MiB")
        lines = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
        if not lines:
            raise ValueError("it has no rows")
        rows = unique(_row(line) for line in lines)
        origins = {Provenance(**{name: line[name] for name in ORIGIN}) for line in lines}
        if len(origins) != 1:
            raise ValueError("its rows were measured at different times or places")
        return Results(path.stem, rows, origins.pop())
    except (OSError, KeyError, TypeError, ValueError, csv.Error) as error:
        raise ArtifactError(
            f"{path} cannot be read as a table of results ({type(error).__name__}: {error}). "
            f"Measure it with `make results`."
        ) from error


def _row(line: Mapping[str, str]) -> Result:
    known = {name: line[name] for name in FIGURES}
    value = float(known.pop("value"))
    low, high = (_number(known.pop(name)) for name in ("low", "high"))
    return Result(value=value, low=low, high=high, **known)


def _number(text: str) -> float | None:
    return float(text) if text else None


def _cell(value: object) -> str:
    """Write a cell; a number with the digits that mean something.

    >>> _cell(None), _cell(12.3456789), _cell("a"), _cell(1234567.0)
    ('', '12.346', 'a', '1234567')
    """
    if not isinstance(value, float | int):
        return "" if value is None else str(value)
    if not math.isfinite(value):
        return str(value)
    return f"{value:.0f}" if abs(value) >= 10**DIGITS else f"{value:.{DIGITS}g}"

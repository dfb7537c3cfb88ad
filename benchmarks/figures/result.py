"""One measured figure: what was measured of what, where, and with which versions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from stylepress.errors import InputError

DIGITS = 5
"""Significant digits that are kept: more than any of these figures has."""


@dataclass(frozen=True, slots=True)
class Result:
    """One figure of one subject.

    ``subject`` is a model ("student strokes", "teacher") or a thing ("make figures"), ``engine``
    what runs it, ``size`` the frame as WxH or empty. ``low`` and ``high`` bound ``value`` with
    95 % confidence. ``digest`` is the artifact's, ``note`` what a reader should know. ``promise`` is
    what README promises, and ``verdict`` whether it is kept, where there is one.
    """

    subject: str
    engine: str
    precision: str
    size: str
    figure: str
    value: float
    unit: str
    low: float | None = None
    high: float | None = None
    digest: str = ""
    promise: str = ""
    verdict: str = ""
    note: str = ""

    @property
    def key(self) -> tuple[str, str, str, str, str]:
        """What no other result of its table has."""
        return self.subject, self.engine, self.precision, self.size, self.figure

    @property
    def shown(self) -> str:
        """The value with its unit, as tables write it."""
        return written(self.value, self.unit)


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


@dataclass(frozen=True, slots=True)
class Results:
    """One table: its rows in the order they were measured, and where."""

    name: str
    rows: tuple[Result, ...]
    made: Provenance

    def find(self, figure: str, **wanted: str) -> Result:
        """Return the only row of a figure whose named columns are as wanted.

        Raises:
            InputError: there is none, or more than one.
        """
        found = list(self.like(figure, **wanted))
        if len(found) != 1:
            raise InputError(
                f"{len(found)} rows of {self.name}.csv are {figure!r} with {wanted}, not one. "
                f"Measure the table again with `make results`."
            )
        return found[0]

    def like(self, figure: str, **wanted: str) -> Iterator[Result]:
        """Yield the rows of a figure whose named columns are as wanted."""
        for row in self.rows:
            if row.figure == figure and all(getattr(row, k) == v for k, v in wanted.items()):
                yield row


def unique(rows: Iterable[Result]) -> tuple[Result, ...]:
    """Return rows as a tuple.

    Raises:
        InputError: two have one key.
    """
    found: dict[tuple[str, ...], Result] = {}
    for row in rows:
        if row.key in found:
            raise InputError(f"Two results are named {row.key}. Name each differently.")
        found[row.key] = row
    return tuple(found.values())


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
    digits = 0 if size >= 100 else 1 if size >= 10 else 2
    text = f"{value:.{digits}f}"
    return f"{text}{unit}" if unit == "x" else f"{text} {unit}".rstrip()

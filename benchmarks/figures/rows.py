"""One figure: what was measured, what was promised, and whether it is kept."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from stylepress.benchmarks.figures.result import Result, written

SUBJECT = "what ships"


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
        return written(self.value, self.unit)

    @property
    def promise(self) -> str:
        """The bar with its side and unit."""
        return f"{'≥' if self.at_least else '≤'} {written(self.bar, self.unit)}"

    def line(self) -> str:
        """Return name, value, bar, verdict, on one line."""
        note = f"  ({self.note})" if self.note else ""
        return f"{self.name:<58} {self.shown:>11}  {self.promise:<12} {self.verdict}{note}"

    def record(self) -> dict[str, Any]:
        """Return it as JSON values."""
        value = self.value if math.isfinite(self.value) else None
        return {**asdict(self), "value": value, "verdict": self.verdict}

    def result(self) -> Result:
        """Return it as a row of a table of results."""
        return Result(
            SUBJECT,
            engine="",
            precision="",
            size="",
            figure=self.name,
            value=self.value,
            unit=self.unit,
            promise=self.promise,
            verdict=self.verdict,
            note=self.note,
        )

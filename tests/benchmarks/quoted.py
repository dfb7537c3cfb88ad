"""Figures that documents quote in running text, and whether a measured row stands behind each."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from stylepress.benchmarks.evidence.documents import MARKED
from stylepress.benchmarks.evidence.row import Row

UNITS = {
    "x": "x", "times": "x", "dB": "dB", "ms": "ms", "s": "s", "seconds": "s", "MB": "MB", "%": "%",
    "fps": "fps", "frames/s": "fps", "frames a second": "fps",
}  # fmt: skip
"""How a unit is written in text, and in a row."""
_UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
QUOTE = re.compile(rf"(?<![\w.,-])(?P<number>\d[\d,]*(?:\.\d+)?)\s?(?P<unit>{_UNIT})(?![\w/])")
NOT_TEXT = re.compile(r"```.*?```|`[^`\n]*`|<!--.*?-->|\]\([^)]*\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Quote:
    """A figure in a text: the line it stands in, as it is written, its number and unit."""

    line: int
    text: str
    number: str
    unit: str

    def shows(self, row: Row) -> bool:
        """Whether it is the row's value, rounded to as many decimals as are written."""
        number = self.number.replace(",", "")
        decimals = len(number.partition(".")[2])
        return UNITS.get(row.unit, row.unit) == self.unit and f"{row.value:.{decimals}f}" == number


def quotes(text: str) -> Iterator[Quote]:
    """Find the figures of a Markdown text, outside of code, links and generated parts.

    >>> [quote.text for quote in quotes("Up to 29.0 frames/s in `3 s`, 6.7 MB, model x2.")]
    ['29.0 frames/s', '6.7 MB']
    """
    for pattern in (MARKED, NOT_TEXT):
        text = pattern.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), text)
    for found in QUOTE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Quote(line, found[0], found["number"], UNITS[found["unit"]])


def unbacked(
    text: str, rows: Mapping[str, Sequence[Row]], settings: Collection[str]
) -> Iterator[Quote]:
    """Yield the figures that are no ``settings`` and not what their own rows hold.

    ``rows`` are those that a figure is said to be of, by the figure as it is written: any other
    row that happens to have the number does not back it.
    """
    for quote in quotes(text):
        named = rows.get(quote.text, ())
        if quote.text not in settings and not (named and all(map(quote.shows, named))):
            yield quote

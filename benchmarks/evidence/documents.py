"""The tables of README and docs, made from rows of results; nothing in them is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

from stylepress.benchmarks.evidence.row import Row, Table, written
from stylepress.errors import InputError
from stylepress.replace import replacing_file

EQUAL_DB = 99.0
"""What stands for pictures that are equal in every pixel."""
OF_LAYERS = ("squared levels that its INT8 adds", "time that its INT8 saves")
"""Figures of single layers, of which there are dozens: they are in the CSV file alone."""
MARKED = re.compile(r"<!-- (?P<name>[a-z-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def pivot(
    rows: Sequence[Row],
    heads: Mapping[str, str],
    *,
    across: str = "subject",
    cell: Callable[[Row], str],
) -> str:
    """Return rows as a Markdown table: a line a combination of heads, a column a value of ``across``.

    ``heads`` are fields of a row that begin a line, and their titles; what has two rows shows both.
    """
    lines: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for row in rows:
        line = lines.setdefault(tuple(getattr(row, name) or "told" for name in heads), {})
        line.setdefault(getattr(row, across), []).append(cell(row))
    columns = list(dict.fromkeys(getattr(row, across) for row in rows))
    body = [(*head, *(", ".join(line.get(name, [])) for name in columns))
            for head, line in lines.items()]  # fmt: skip
    rule = ["---"] * len(heads) + ["--:"] * len(columns)
    every = [(*heads.values(), *(name or "measured" for name in columns)), rule, *body]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in every)


def figures_table(rows: Sequence[Row]) -> str:
    """What is promised: a row a figure, and a column a style where there is one figure a style."""
    subjects: dict[str, list[str]] = {}
    for row in rows:
        subjects.setdefault(row.figure, []).append(row.subject)
    groups: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(subjects[row.figure]), []).append(row)
    heads = {"figure": "figure", "promise": "promised"}
    return "\n\n".join(pivot(group, heads, cell=_kept) for group in groups.values())


def listed_table(rows: Sequence[Row]) -> str:
    """A line a row, for figures of many kinds."""
    lines = [("figure", "of", "where", "measured", "promised", "remark"), ("---",) * 6]
    for row in (row for row in rows if row.figure not in OF_LAYERS):
        where = " ".join(part for part in (row.engine, row.precision, row.size) if part)
        lines.append((row.figure, row.subject, where, _kept(row), row.promise, row.note))
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _kept(row: Row) -> str:
    """Write a value; one that is short of its promise is bold, so that nobody overlooks it."""
    return f"**{row.shown}**, short" if row.verdict == "short" else row.shown


def _span(row: Row) -> str:
    if row.low is None or row.high is None or row.low == row.high:
        return row.shown
    return f"{row.shown} ({' to '.join(written(end, '') for end in (row.low, row.high))})"


def _agreement(row: Row) -> str:
    if row.verdict != "ok":
        return f"**{row.note}**"
    return f"{row.precision} {'=' if row.value == EQUAL_DB else row.shown}"


PLACES: Mapping[str, tuple[str, Callable[[Sequence[Row]], str]]] = {
    "figures": ("README.md", figures_table),
    "optimise": ("README.md", figures_table),
    "speed": ("docs/results.md", partial(
        pivot, heads={"subject": "model", "engine": "engine", "precision": "precision"},
        across="size", cell=_span,
    )),
    "power": ("docs/ci.md", partial(
        pivot, across="figure", cell=lambda row: f"{row.value:.0f} %",
        heads={"engine": "machine", "precision": "settings", "subject": "truly slower by"},
    )),
    "judged": ("docs/benchmarks.md", partial(
        pivot, heads={"engine": "change"}, cell=lambda row: f"{row.shown}, {row.verdict}",
    )),
    "devices": ("docs/devices/devices.md", partial(
        pivot, heads={"engine": "profile"}, cell=_agreement,
    )),
    "engines": ("docs/devices/devices.md", figures_table),
    "temporal": ("docs/models.md", figures_table),
    "trainings": ("docs/models.md", figures_table),
    "library": ("docs/models.md", figures_table),
    "compression": ("docs/compression.md", listed_table),
}  # fmt: skip
"""The document that shows a table, and how."""


def rewrite(checkout: Path, tables: Mapping[str, Table]) -> list[Path]:
    """Put tables into the documents of a checkout; return those that were written.

    Raises:
        InputError: a document has no place for a table.
        OutputError: one cannot be written.
    """
    files = {name: checkout / PLACES[name][0] for name in tables}
    for name, path in files.items():
        fill(path, name, part(tables[name]))
    return list(dict.fromkeys(files.values()))


def fill(path: Path, name: str, text: str) -> None:
    """Put ``text`` between the markers of that name in a document; errors as in ``rewrite``."""
    made = filled(path, name, text)
    with replacing_file(path) as beside:
        beside.write_text(made, encoding="utf-8")


def part(table: Table) -> str:
    """Return what stands between the markers: the table, and where it was measured."""
    return f"{PLACES[table.name][1](table.rows)}\n\n{table.origin.line()}"


def filled(path: Path, name: str, text: str) -> str:
    """Return a document with ``text`` between the markers of that name.

    Raises:
        InputError: the document has no such markers.
    """
    whole = path.read_text(encoding="utf-8")
    if name not in {match["name"] for match in MARKED.finditer(whole)}:
        raise InputError(
            f"{path} has no pair of markers for {name}.",
            "Put <!-- NAME --> and <!-- /NAME -->, each on its own line, into it.",
        )
    made = f"<!-- {name} -->\n{text}\n<!-- /{name} -->"
    return MARKED.sub(lambda match: made if match["name"] == name else match[0], whole)

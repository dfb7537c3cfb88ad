"""The tables of README and docs, made from rows of results; nothing in them is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stylepress.benchmarks.evidence import judged, power, speed
from stylepress.benchmarks.evidence.row import Row, Table, written
from stylepress.errors import InputError
from stylepress.replace import replacing_file

MARKED = re.compile(r"<!-- (?P<name>[a-z-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)


def figures_table(table: Table) -> str:
    """What is promised: a row a figure, and a column a style where there is one figure a style."""
    figures: dict[str, list[Row]] = {}
    for row in table.rows:
        figures.setdefault(row.figure, []).append(row)
    groups: dict[tuple[str, ...], list[str]] = {}
    for figure, rows in figures.items():
        groups.setdefault(tuple(row.subject for row in rows), []).append(figure)
    parts = []
    for subjects, names in groups.items():
        heads = ["figure", "promised", *(name or "measured" for name in subjects)]
        cells = [
            [name, figures[name][0].promise or "told", *map(_kept, figures[name])] for name in names
        ]
        parts.append(grid(heads, cells))
    return "\n\n".join(parts)


def _kept(row: Row) -> str:
    """Write a value; one that is short of its promise is bold, so that nobody overlooks it."""
    return f"**{row.shown}**, short" if row.verdict == "short" else row.shown


def speed_table(table: Table) -> str:
    """Every model in every engine: ratio to the teacher in torch eager, milliseconds; by size."""
    sizes = list(dict.fromkeys(row.size for row in table.rows))
    took = {row.key[1:]: row.shown for row in table.like(speed.LATENCY)}
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for gain in table.like(speed.GAIN):
        of = gain.subject, gain.engine, gain.precision
        cells.setdefault(of, {})[gain.size] = f"{_span(gain)}, {took[gain.key[1:]]}"
    rows = [[*of, *(by_size.get(size, "") for size in sizes)] for of, by_size in cells.items()]
    return grid(["model", "engine", "precision", *sizes], rows, left=3)


def power_table(table: Table) -> str:
    """How often a comparison ends with what, by machine, settings and true slowdown."""
    shares: dict[tuple[str, str, str], list[str]] = {}
    for row in table.rows:
        of = row.engine, f"`{row.precision}`", row.subject
        shares.setdefault(of, []).append(f"{row.value:.0f} %")
    heads = ["machine", "settings", "truly slower by", *power.VERDICTS]
    return grid(heads, [[*of, *cells] for of, cells in shares.items()], left=2)


def judged_table(table: Table) -> str:
    """What the gate on pictures says: a row a change, a column a style."""
    cells: dict[str, list[str]] = {}
    for row in table.rows:
        if row.figure == judged.DIRECT:
            cells.setdefault(row.engine, []).append(f"{row.shown}, {row.verdict}")
    for row in table.rows:
        if row.figure != judged.DIRECT:
            cells.setdefault(f"{row.engine}: {row.figure}", []).append(row.shown)
    styles = dict.fromkeys(row.subject for row in table.rows)
    return grid(["change", *styles], [[name, *shares] for name, shares in cells.items()])


def lowered_table(table: Table) -> str:
    """A row a profile, a column a model: the precision, and how near the pictures are."""
    models = list(dict.fromkeys(row.subject for row in table.rows))
    cells = {(row.engine, row.subject): _agreement(row) for row in table.rows}
    profiles = dict.fromkeys(row.engine for row in table.rows)
    green = sum(row.verdict == "ok" for row in table.rows)
    count = len({name.partition("@")[0] for name in profiles})
    lead = f"{green} of {len(table.rows)} cells are green: {count} devices, {len(profiles)} with JetPacks."
    rows = [[name, *(cells.get((name, model), "") for model in models)] for name in profiles]
    return f"{lead}\n\n{grid(['profile', *models], rows)}"


def _agreement(row: Row) -> str:
    if row.verdict != "ok":
        return f"**{row.note}**"
    return f"{row.precision} {'=' if row.note.startswith('equal') else row.shown}"


def compiled_table(table: Table) -> str:
    """A row a bundle and card."""
    rows = [[row.subject, row.engine, row.shown, row.note] for row in table.rows]
    return grid(["bundle", "card", "INT8", "what the compiler made"], rows, left=2)


DOCUMENTS: Mapping[str, Mapping[str, Callable[[Table], str]]] = {
    "README.md": {"figures": figures_table, "optimise": figures_table},
    "docs/results.md": {"speed": speed_table},
    "docs/ci.md": {"power": power_table},
    "docs/benchmarks.md": {"judged": judged_table},
    "docs/devices/devices.md": {"devices": lowered_table, "engines": figures_table},
    "docs/rtx.md": {"rtx": compiled_table},
}
"""Which document holds which generated parts, by the table they are made of."""


def rewrite(checkout: Path, tables: Mapping[str, Table]) -> list[Path]:
    """Fill the generated parts of all documents of a checkout; return those that were written.

    Raises:
        InputError: a document has no place for its parts.
        OutputError: one cannot be written.
    """
    files = []
    for document, names in DOCUMENTS.items():
        if parts := {name: part(name, tables[name]) for name in names if name in tables}:
            path = checkout / document
            text = path.read_text(encoding="utf-8")
            if missing := parts.keys() - {match["name"] for match in MARKED.finditer(text)}:
                raise InputError(
                    f"{path} has no pair of markers for {', '.join(sorted(missing))}.",
                    "Put <!-- NAME --> and <!-- /NAME -->, each on its own line, into it.",
                )
            with replacing_file(path) as beside:
                beside.write_text(filled(text, parts), encoding="utf-8")
            files.append(path)
    return files


def part(name: str, table: Table) -> str:
    """Return a generated part: its table, and where that was measured."""
    make = next(names[name] for names in DOCUMENTS.values() if name in names)
    return f"{make(table)}\n\n{table.origin.line()}"


def filled(text: str, parts: Mapping[str, str]) -> str:
    """Return a document with each of its generated parts that is in ``parts`` replaced.

    >>> filled("a\\n<!-- x -->\\nold\\n<!-- /x -->\\n", {"x": "new"})
    'a\\n<!-- x -->\\nnew\\n<!-- /x -->\\n'
    """

    def replaced(match: re.Match[str]) -> str:
        name = match["name"]
        return f"<!-- {name} -->\n{parts[name]}\n<!-- /{name} -->" if name in parts else match[0]

    return MARKED.sub(replaced, text)


def _span(row: Row) -> str:
    if row.low is None or row.high is None or row.low == row.high:
        return row.shown
    return f"{row.shown} ({' to '.join(written(end, '') for end in (row.low, row.high))})"


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """Return a Markdown table, all but the first columns to the right.

    >>> grid(["a", "b"], [["1", "2"]])
    '| a | b |\\n| --- | --: |\\n| 1 | 2 |'
    """
    rule = ["---" if number < left else "--:" for number in range(len(heads))]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *rows))

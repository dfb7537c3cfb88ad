"""The tables of README and docs, made from rows of results; nothing in them is typed by hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from stylepress.benchmarks.evidence import drift, gate, pictures, speed
from stylepress.benchmarks.evidence.claims import NEEDED, claims_rows
from stylepress.benchmarks.evidence.row import Row, Table, written
from stylepress.errors import InputError, OutputError
from stylepress.replace import replacing_file

MARKED = re.compile(r"<!-- (?P<name>[a-z-]+) -->\n.*?<!-- /(?P=name) -->", re.DOTALL)
Tables = Mapping[str, Table]
GENERATED: Mapping[str, tuple[str, ...]] = {
    "README.md": ("figures",),
    "docs/results.md": ("speed", "loss", "together"),
    "docs/claims.md": ("claims",),
    "docs/ci.md": ("power",),
    "docs/benchmarks.md": ("judged",),
}
"""Which document holds which generated parts."""


def rewrite(checkout: Path, tables: Tables) -> list[Path]:
    """Fill the generated parts of all documents of a checkout; return those that were written.

    Raises:
        InputError: a document has no place for its parts.
        OutputError: one cannot be read or written.
    """
    made, files = parts(tables), []
    for document, names in GENERATED.items():
        known = {name: made[name] for name in names if name in made}
        if known:
            refill(checkout / document, known)
            files.append(checkout / document)
    return files


def parts(tables: Tables) -> dict[str, str]:
    """Return every generated part whose tables are there, by its name."""
    found = {name: make(tables[name]) for name, make in MAKERS.items() if name in tables}
    if all(name in tables for name in NEEDED):
        found["claims"] = claims_table(tables)
    return found


def claims_table(tables: Tables) -> str:
    """The claims and the answers."""
    rows = [["claimed", "what we measured"], ["---", "---"], *claims_rows(tables)]
    return _markdown(rows, [tables[name] for name in NEEDED])


def figures_table(table: Table) -> str:
    """The table of what is promised: one row a figure."""
    rows = [[one.figure, one.shown, one.promise, one.verdict] for one in table.rows]
    return _table(["figure", "measured", "promised", ""], "lrrl", rows, table)


def speed_table(table: Table) -> str:
    """Every model in every engine: ratio to the teacher in torch eager, milliseconds; by size."""
    sizes = list(dict.fromkeys(row.size for row in table.rows))
    cells: dict[tuple[str, str, str], dict[str, str]] = {}
    for gain in table.like(speed.GAIN):
        key = gain.subject, gain.engine, gain.precision
        wanted = dict(
            zip(("subject", "engine", "precision", "size"), (*key, gain.size), strict=True)
        )
        took = table.find(speed.LATENCY, **wanted)
        cells.setdefault(key, {})[gain.size] = f"{_span(gain)}, {took.shown}"
    rows = [[*key, *(found.get(size, "") for size in sizes)] for key, found in cells.items()]
    return _table(["model", "engine", "precision", *sizes], "lll" + "r" * len(sizes), rows, table)


def loss_table(table: Table) -> str:
    """What INT8 costs each style in pictures: ours, and as NNCF makes it."""
    figures = (pictures.PSNR, pictures.WORST, pictures.SSIM, pictures.GRID)
    rows = []
    for one in table.like(pictures.PSNR):
        wanted = {"subject": one.subject, "engine": one.engine, "precision": "int8"}
        found = [table.find(figure, **wanted) for figure in figures]
        # Similarities lie so near to 1 that they need a third digit.
        cells = [f"{r.value:.3f}" if r.figure == pictures.SSIM else r.shown for r in found]
        rows.append([one.subject, one.engine, *cells])
    return _table(["model", "INT8 of", *figures], "ll" + "r" * len(figures), rows, table)


def together_table(table: Table) -> str:
    """Frames one at a time, in a batch, in lanes: how many a second, and the gain."""
    rows = []
    for one in table.like(speed.RATE):
        gain = next(table.like(speed.MORE, engine=one.engine, size=one.size), None)
        rows.append([one.size, one.engine, one.shown, "" if gain is None else _span(gain)])
    return _table(["frame", "way", "rate", "gain (95 %)"], "llrr", rows, table)


def power_table(table: Table) -> str:
    """How often a comparison ends with what, by machine, settings and true slowdown."""
    rows = []
    for one in table.like(gate.VERDICTS[0]):
        wanted = {"subject": one.subject, "engine": one.engine}
        shares = [f"{table.find(word, **wanted).value:.0f} %" for word in gate.VERDICTS]
        rows.append([one.engine, f"`{one.precision}`", one.subject, *shares])
    heads = ["machine", "settings", "truly slower by", *gate.VERDICTS]
    return _table(heads, "llrrrr", rows, table)


def judged_table(table: Table) -> str:
    """What the gate on pictures says: a row a change, a column a style."""
    styles = list(dict.fromkeys(row.subject for row in table.rows))
    rows = []
    for change in dict.fromkeys(row.engine for row in table.rows):
        found = [table.find(drift.DIRECT, subject=one, engine=change) for one in styles]
        rows.append([change, *(f"{one.shown}, {one.verdict}" for one in found)])
    for figure, words in drift.TOLD.items():
        found = [table.find(figure, subject=one) for one in styles]
        rows.append([f"{drift.INT8}: {words}", *(one.shown for one in found)])
    heads = ["change", *(style.removeprefix("student ") for style in styles)]
    return _table(heads, "l" + "r" * len(styles), rows, table)


MAKERS: Mapping[str, Callable[[Table], str]] = {
    "figures": figures_table,
    "speed": speed_table,
    "loss": loss_table,
    "together": together_table,
    "judged": judged_table,
    "power": power_table,
}


def names_of(text: str) -> list[str]:
    """Return the names of the generated parts of a document, in order.

    >>> names_of("a\\n<!-- speed -->\\n| 1 |\\n<!-- /speed -->\\n")
    ['speed']
    """
    return [found["name"] for found in MARKED.finditer(text)]


def filled(text: str, made: Mapping[str, str]) -> str:
    """Return a document with each of its generated parts that is in ``made`` replaced."""

    def replaced(found: re.Match[str]) -> str:
        name = found["name"]
        return block(name, made[name]) if name in made else found[0]

    return MARKED.sub(replaced, text)


def block(name: str, body: str) -> str:
    """Return a generated part with its markers."""
    return f"<!-- {name} -->\n{body.rstrip()}\n<!-- /{name} -->"


def refill(path: Path, made: Mapping[str, str]) -> None:
    """Replace the generated parts of a file; those that are not in ``made`` stay.

    Raises:
        InputError: it holds none of them.
        OutputError: it cannot be read or written.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OutputError(
            f"{path} cannot be read ({error}).", "Name a document that holds the tables."
        ) from error
    if not set(names_of(text)) & made.keys():
        marker = next(iter(made), "name")
        raise InputError(
            f"{path} has no pair of markers for {', '.join(made)}.",
            f"Put <!-- {marker} --> and "
            f"<!-- /{marker} -->, each on its own line, where the table belongs.",
        )
    with replacing_file(path) as beside:
        beside.write_text(filled(text, made), encoding="utf-8")


def _span(one: Row) -> str:
    if one.low is None or one.high is None or one.low == one.high:
        return one.shown
    return f"{one.shown} ({' to '.join(written(end, '') for end in (one.low, one.high))})"


def _table(head: Sequence[str], sides: str, rows: Sequence[Sequence[str]], table: Table) -> str:
    """Return a Markdown table with where it was measured below it; ``sides`` are l or r each."""
    rule = {"l": "---", "r": "--:"}
    return _markdown([head, [rule[side] for side in sides], *rows], [table])


def _markdown(rows: Sequence[Sequence[str]], tables: Sequence[Table]) -> str:
    lines = [f"| {' | '.join(cells)} |" for cells in rows]
    places = dict.fromkeys(table.made.line() for table in tables)
    return "\n".join(lines) + "".join(f"\n\n{place}" for place in places)

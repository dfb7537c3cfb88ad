"""The tables of README and docs, made from rows of results; nothing in them is typed by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from stylepress.benchmarks.figures.result import Result, Results, written
from stylepress.benchmarks.tables import judged, loss, power, speed, together
from stylepress.benchmarks.tables.claims import NEEDED, claims_table
from stylepress.benchmarks.tables.provenance import told

Tables = Mapping[str, Results]

GENERATED: Mapping[str, tuple[str, ...]] = {
    "README.md": ("figures",),
    "docs/results.md": ("speed", "loss", "together"),
    "docs/claims.md": ("claims",),
    "docs/ci.md": ("power",),
    "docs/benchmarks.md": ("judged",),
}
"""Which document holds which generated parts."""


def parts(tables: Tables) -> dict[str, str]:
    """Return every generated part whose tables are there, by its name."""
    return {
        name: make(tables)
        for name, (needed, make) in MAKERS.items()
        if all(table in tables for table in needed)
    }


def figures_table(results: Results) -> str:
    """The table of what is promised: one row a figure."""
    rows = [[one.figure, one.shown, one.promise, one.verdict] for one in results.rows]
    return _table(["figure", "measured", "promised", ""], "lrrl", rows, results)


def speed_table(results: Results) -> str:
    """Every model in every engine: the ratio to the teacher in torch eager, milliseconds; a column a size."""
    sizes = list(dict.fromkeys(row.size for row in results.rows))
    rows = []
    for key in dict.fromkeys((row.subject, row.engine, row.precision) for row in results.rows):
        wanted = dict(zip(("subject", "engine", "precision"), key, strict=True))
        cells = []
        for size in sizes:
            ms, gain = (
                next(results.like(figure, size=size, **wanted), None)
                for figure in (speed.LATENCY, speed.GAIN)
            )
            cells.append("" if ms is None or gain is None else f"{_span(gain)}, {ms.shown}")
        rows.append([*key, *cells])
    return _table(["model", "engine", "precision", *sizes], "lll" + "r" * len(sizes), rows, results)


def loss_table(results: Results) -> str:
    """What INT8 costs each style in pictures: ours, and as NNCF makes it."""
    figures = (loss.PSNR, loss.WORST, loss.SSIM, loss.GRID)
    rows = []
    for key in dict.fromkeys((row.subject, row.engine) for row in results.rows if row.engine):
        wanted = {"subject": key[0], "engine": key[1], "precision": "int8"}
        found = [next(results.like(figure, **wanted), None) for figure in figures]
        if all(found):
            rows.append([*key, *(_figure(one) for one in found if one)])
    return _table(["model", "INT8 of", *figures], "ll" + "r" * len(figures), rows, results)


def together_table(results: Results) -> str:
    """Frames one at a time, in a batch, in lanes: how many a second, and the gain."""
    rows = []
    for one in results.like(together.RATE):
        gain = next(results.like(together.GAIN, engine=one.engine, size=one.size), None)
        rows.append([one.size, one.engine, one.shown, "" if gain is None else _span(gain)])
    return _table(["frame", "way", "rate", "gain (95 %)"], "llrr", rows, results)


def power_table(results: Results) -> str:
    """How often a comparison ends with what, by machine, settings and true slowdown."""
    rows = []
    for one in results.like(power.VERDICTS[0]):
        wanted = {"subject": one.subject, "engine": one.engine}
        shares = [f"{results.find(word, **wanted).value:.0f} %" for word in power.VERDICTS]
        rows.append([one.engine, f"`{one.precision}`", one.subject, *shares])
    heads = ["machine", "settings", "truly slower by", *power.VERDICTS]
    return _table(heads, "llrrrr", rows, results)


def judged_table(results: Results) -> str:
    """What the gate on pictures says: a row a change, a column a style."""
    styles = list(dict.fromkeys(row.subject for row in results.rows))
    rows = []
    for change in dict.fromkeys(row.engine for row in results.rows):
        found = [results.find(judged.DIRECT, subject=one, engine=change) for one in styles]
        rows.append([change, *(f"{one.shown}, {one.verdict}" for one in found)])
    for figure, words in judged.TOLD.items():
        found = [results.find(figure, subject=one) for one in styles]
        rows.append([f"{judged.INT8}: {words}", *(one.shown for one in found)])
    heads = ["change", *(style.removeprefix("student ") for style in styles)]
    return _table(heads, "l" + "r" * len(styles), rows, results)


def _figure(one: Result) -> str:
    """Write a figure; similarities lie so near to 1 that they need a third digit."""
    return f"{one.value:.3f}" if one.figure == loss.SSIM else one.shown


def _span(one: Result) -> str:
    if one.low is None or one.high is None or one.low == one.high:
        return one.shown
    return f"{one.shown} ({' to '.join(written(end, '') for end in (one.low, one.high))})"


def _table(head: Sequence[str], sides: str, rows: Sequence[Sequence[str]], results: Results) -> str:
    """Return a Markdown table with where it was measured below it; ``sides`` are l or r each."""
    rule = {"l": "---", "r": "--:"}
    lines = [head, [rule[side] for side in sides], *rows]
    text = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
    return f"{text}\n\n{told(results.made)}"


MAKERS: Mapping[str, tuple[tuple[str, ...], Callable[[Tables], str]]] = {
    "figures": (("figures",), lambda tables: figures_table(tables["figures"])),
    "speed": (("speed",), lambda tables: speed_table(tables["speed"])),
    "loss": (("loss",), lambda tables: loss_table(tables["loss"])),
    "together": (("together",), lambda tables: together_table(tables["together"])),
    "judged": (("judged",), lambda tables: judged_table(tables["judged"])),
    "power": (("power",), lambda tables: power_table(tables["power"])),
    "claims": (NEEDED, claims_table),
}
"""Of each generated part: the tables it needs, and what makes it of them."""

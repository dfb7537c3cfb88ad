"""A comparison as one HTML page that needs nothing else: no script, no request, phone or desk."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from stylepress.benchmarks.page import POLICY
from stylepress.benchmarks.page_look import STYLE
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement
from stylepress.benchmarks.verdict.forms.plots import distributions, in_order, strip

LOOK = """
:root { --new: #c2571a; --fail: #b3261e; --pass: #0a7d5a; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root {
  --new: #f09a5b; --fail: #ff8a80; --pass: #3fc194; --open: #e0b44c; } }
.verdict { display: inline-block; font-weight: 700; padding: 2px 12px; border-radius: 999px;
  border: 2px solid currentColor; }
.FAIL { color: var(--fail); } .PASS { color: var(--pass); }
.INCONCLUSIVE, .NOT.COMPARABLE { color: var(--open); } .TREND { color: var(--soft); }
ul.reasons { padding-left: 20px; margin: 12px 0; }
td.word { font-weight: 600; }
.arms { display: grid; gap: 4px 16px; grid-template-columns: auto 1fr; font-size: .9rem;
  overflow-wrap: anywhere; margin-top: 16px; }
.arms b::before { content: ""; display: inline-block; width: 10px; height: 10px;
  border-radius: 5px; margin-right: 7px; background: var(--own); }
.arms b.new::before { background: var(--new); }
svg { display: block; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; margin: 6px 0; }
svg svg { border: 0; margin: 0; background: none; overflow: visible; }
svg circle { fill: var(--own); fill-opacity: .75; } svg circle.new { fill: var(--new); }
svg circle.void { fill: none; stroke: var(--soft); }
svg text.tick { font-size: 11px; fill: var(--soft); }
svg line.same { stroke: var(--ink); opacity: .6; }
svg line.limit { stroke: var(--fail); opacity: 1; stroke-dasharray: 4 3; }
svg line.grid { stroke: var(--line); opacity: 1; stroke-width: 1; }
svg line.span { stroke: var(--ink); stroke-width: 3; opacity: 1; }
svg rect.point { fill: var(--ink); }
svg polyline { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke;
  stroke: var(--own); } svg polyline.new { stroke: var(--new); }
"""


def comparison_page(comparison: Comparison) -> str:
    """Return the page. Its own policy forbids the browser to fetch anything."""
    title = escape(f"{comparison.verdict}: {comparison.new.name} against {comparison.base.name}")
    body = "\n".join(
        [
            *_head(comparison),
            *_doubts(comparison),
            *_differing(comparison),
            *_figures(comparison),
            *_plots(comparison),
            *_machine(comparison),
            f"<footer>{escape(comparison.tool)}, {escape(comparison.created)}</footer>",
        ]
    )
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}</title>\n<style>{STYLE}{LOOK}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _head(comparison: Comparison) -> Iterator[str]:
    base, new = comparison.base, comparison.new
    yield (
        f'<header><h1><span class="verdict {comparison.verdict}">{comparison.verdict}</span> '
        f"{escape(new.name)} against {escape(base.name)}</h1>"
        f"<p>{escape(comparison.terms())}</p></header>"
    )
    if comparison.reasons:
        items = "".join(f"<li>{escape(reason)}</li>" for reason in comparison.reasons)
        yield f'<ul class="reasons">{items}</ul>'
    yield '<div class="arms">'
    for word, side in (("base", base), ("new", new)):
        facts = f"{side.name}, {side.precision}, {side.size_bytes / 1e6:.3g} MB, {side.digest[:12]}"
        yield f'<b class="{word}">{word}</b><span>{escape(facts)}</span>'
    yield "</div>"


def _doubts(comparison: Comparison) -> Iterator[str]:
    doubts = comparison.doubts()
    if doubts:
        items = "".join(f"<li>{escape(doubt)}</li>" for doubt in doubts)
        yield f'<aside class="doubt"><b>Read with care.</b><ul>{items}</ul></aside>'


def _differing(comparison: Comparison) -> Iterator[str]:
    if comparison.differing:
        rows = [[name, str(a), str(b)] for name, (a, b) in comparison.differing.items()]
        yield f"<section><h2>Not comparable</h2>{_table(['field', 'base', 'new'], rows)}</section>"


def _figures(comparison: Comparison) -> Iterator[str]:
    for title, gated in (("What counts", True), ("Shown, not judged", False)):
        found = [one for one in comparison.judgements if one.gated is gated]
        if found:
            yield f"<section><h2>{title}</h2>{_judgements(found)}</section>"


def _judgements(found: Sequence[Judgement]) -> str:
    rows = "".join(
        f"<tr><td>{escape(one.name)}</td>"
        f'<td class="word {one.verdict or ""}">{one.verdict or ""}</td>'
        f"<td>{escape(one.change())}</td><td>{escape(one.shown(one.base))}</td>"
        f"<td>{escape(one.shown(one.new))}</td><td>{escape(_aside(one))}</td></tr>"
        for one in found
    )
    heads = ["figure", "verdict", "worse by", "base", "new", ""]
    head = "".join(f"<th>{cell}</th>" for cell in heads)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>'


def _aside(one: Judgement) -> str:
    parts = [one.note]
    if one.pairs is not None:
        parts.append(f"{one.pairs} pairs")
    if one.p_holm is not None:
        parts.append(f"p {one.p_holm:.2g}")
    if one.floor is not None and one.gated:
        parts.append(f"floor {100 * one.floor:.2g} %")
    if one.needed:
        parts.append(f"{one.needed} pairs might decide")
    return ", ".join(part for part in parts if part)


def _plots(comparison: Comparison) -> Iterator[str]:
    """One section a backend: ratios, distribution of all calls, runs in order."""
    paired = [one for one in comparison.judgements if one.kind == "paired" and one.values]
    for backend in dict.fromkeys(one.subject for one in paired):
        runs = [run for run in comparison.runs if run.backend == backend]
        yield f"<section><h2>{escape(backend)}</h2>"
        for one in paired:
            if one.subject == backend and one.gated:
                yield (
                    f"<h3>{escape(one.metric)}, pair by pair: {escape(one.change())}</h3>{strip(one)}"
                    "<p>A dot is one pair of fresh processes, to the right the new one is worse. "
                    "The bar is the estimate with its interval.</p>"
                )
        counted = [run for run in runs if not run.invalid]
        if curves := distributions(counted, backend):
            yield f"<h3>All calls: the share faster than a time</h3>{curves}"
        if order := in_order(runs, backend):
            yield f"<h3>Median of each run, in the order they were made</h3>{order}"
        yield "</section>"


def _machine(comparison: Comparison) -> Iterator[str]:
    facts = comparison.machine.gating().items()
    missing = comparison.machine.missing
    rows = [
        [name, str(value) if value is not None else f"none: {missing.get(name, 'not recorded')}"]
        for name, value in facts
    ]
    for backend, engine in comparison.engines.items():
        rows.append([backend, ", ".join(f"{name} {value}" for name, value in engine.items())])
    yield f"<section><h2>Machine</h2>{_table(['', ''], rows, kind='prose')}"
    if comparison.skipped:
        items = "".join(
            f"<li><b>{escape(one.what)}</b>: {escape(one.why)}</li>" for one in comparison.skipped
        )
        yield f"<h3>Not measured</h3><ul>{items}</ul>"
    yield "</section>"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "wide") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="{kind}"><table>{top}<tbody>{body}</tbody></table></div>'

"""A comparison as one HTML page that needs nothing else: no request, phone or desk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import get_args

from stylepress.benchmarks.page_look import document, side_by_side, table
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement
from stylepress.benchmarks.verdict.forms.meanwhile import meanwhile
from stylepress.benchmarks.verdict.forms.plots import distributions, in_order, strip
from stylepress.benchmarks.verdict.rule import Verdict

VERDICTS = frozenset(get_args(Verdict))

LOOK = """
:root { --new: #c2571a; --fail: #b3261e; --pass: #0a7d5a; --open: #8a6100; }
@media (prefers-color-scheme: dark) { :root {
  --new: #f09a5b; --fail: #ff8a80; --pass: #3fc194; --open: #e0b44c; } }
.verdict { display: inline-block; font-weight: 700; padding: 2px 12px; border-radius: 999px;
  border: 2px solid currentColor; }
.FAIL { color: var(--fail); } .PASS { color: var(--pass); }
.INCONCLUSIVE, .NOT { color: var(--open); } .TREND { color: var(--soft); }
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
.pictures { grid-template-columns: 1fr 1fr; }
@media (min-width: 700px) { .pictures { grid-template-columns: repeat(4, 1fr); } }
.k0 { --curve: #3b6fd4; } .k1 { --curve: #9a4fb5; } .k2 { --curve: #8a7a1f; }
.k3 { --curve: #6b6862; } .k4 { --curve: #2a8a9d; } .k5 { --curve: #b04a6b; }
@media (prefers-color-scheme: dark) {
  .k0 { --curve: #85a8f2; } .k1 { --curve: #cf93e6; } .k2 { --curve: #cbb84e; }
  .k3 { --curve: #a19c92; } .k4 { --curve: #6cc5d6; } .k5 { --curve: #e58fab; } }
svg.time rect.base { fill: var(--own); } svg.time rect.new { fill: var(--new); }
svg.time rect.void { fill: none; stroke: var(--fail); stroke-width: 1.5; stroke-dasharray: 3 2; }
svg.time rect.shade { fill: var(--fail); opacity: .16; }
.keys .base { --curve: var(--own); } .keys .new { --curve: var(--new); }
.keys .void { --curve: var(--fail); }
"""


def comparison_page(comparison: Comparison) -> str:
    """Return the page. Its own policy forbids the browser to fetch anything."""
    body = "\n".join(
        [
            *_head(comparison),
            *_doubts(comparison),
            *_differing(comparison),
            *_judged(comparison),
            *_pictures(comparison),
            *_plots(comparison),
            *meanwhile(comparison),
            *_machine(comparison),
            f"<footer>{escape(comparison.tool)}, {escape(comparison.created)}</footer>",
        ]
    )
    title = f"{comparison.verdict}: {comparison.new.name} against {comparison.base.name}"
    return document(title, body, look=LOOK)


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
        yield f"<section><h2>Not comparable</h2>{table(['field', 'base', 'new'], rows)}</section>"


def _judged(comparison: Comparison) -> Iterator[str]:
    for title, gated in (("What counts", True), ("Shown, not judged", False)):
        found = [one for one in comparison.judgements if one.gated is gated]
        if found:
            yield f"<section><h2>{title}</h2>{_judgements(found, judged=gated)}</section>"


def _judgements(found: Sequence[Judgement], *, judged: bool) -> str:
    heads = ["figure", *(["verdict"] if judged else []), "worse by", "base", "new", ""]
    rows = [
        [
            one.name,
            *([one.verdict or ""] if judged else []),
            one.change(),
            one.shown(one.base),
            one.shown(one.new),
            _aside(one),
        ]
        for one in found
    ]
    return table(heads, rows, mark=lambda cell: f"word {cell}" if cell in VERDICTS else "")


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


def _pictures(comparison: Comparison) -> Iterator[str]:
    """The photos on which the arms differ most, worst first."""
    if not comparison.gallery:
        return
    yield "<section><h2>Pictures</h2>"
    for one in comparison.gallery:
        level = "equal" if math.isinf(one.psnr_db) else f"PSNR {one.psnr_db:.1f} dB"
        yield f"<h3>{escape(one.photo)}: {level}</h3>{side_by_side(one.shown)}"
    settings = comparison.settings
    count = len(comparison.gallery) if settings is None else len(settings.photos)
    yield (
        f"<p>{len(comparison.gallery)} of {count} photos, those on which base and new differ most "
        "first. PSNR is between base and new. Click a picture to enlarge it.</p></section>"
    )


def _plots(comparison: Comparison) -> Iterator[str]:
    """One section a backend: ratios, distribution of all calls, runs in order."""
    paired = [one for one in comparison.judgements if one.kind == "paired" and one.values]
    unit = "fresh processes" if comparison.mode == "fresh processes" else "rounds"
    for backend in dict.fromkeys(one.subject for one in paired):
        runs = [run for run in comparison.runs if run.backend == backend]
        yield f"<section><h2>{escape(backend)}</h2>"
        for one in paired:
            if one.subject == backend and one.gated:
                yield (
                    f"<h3>{escape(one.metric)}, pair by pair: {escape(one.change())}</h3>{strip(one)}"
                    f"<p>A dot is one pair of {unit}, to the right the new one is worse. "
                    "The bar is the estimate with its interval.</p>"
                )
        counted = [run for run in runs if not run.invalid]
        if curves := distributions(counted, backend):
            yield f"<h3>All calls: the share faster than a time</h3>{curves}"
        if order := in_order(runs, backend):
            yield f"<h3>Median of each run, in the order they were made</h3>{order}"
        yield "</section>"


def _machine(comparison: Comparison) -> Iterator[str]:
    machine = comparison.machine
    rows = [
        [name, ", ".join(map(str, value)) if isinstance(value, list) else str(value)]
        for name, value in machine.gating().items()
        if value is not None
    ]
    for backend, engine in comparison.engines.items():
        rows.append([backend, ", ".join(f"{name} {value}" for name, value in engine.items())])
    yield f"<section><h2>Machine</h2>{table(['', ''], rows, kind='prose')}"
    if machine.missing:
        unread = table(["", ""], list(machine.missing.items()), kind="prose")
        yield f"<details><summary>What it does not tell</summary>{unread}</details>"
    if comparison.skipped:
        items = "".join(
            f"<li><b>{escape(one.what)}</b>: {escape(one.why)}</li>" for one in comparison.skipped
        )
        yield f"<h3>Not measured</h3><ul>{items}</ul>"
    yield "</section>"

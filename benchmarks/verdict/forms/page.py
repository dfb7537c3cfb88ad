"""A comparison as one HTML page that needs nothing else: no request, phone or desk."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from html import escape

from stylepress.benchmarks.page_look import (
    ENLARGE,
    document,
    listed,
    look_of,
    prose,
    side_by_side,
    slider,
    sliders,
    table,
)
from stylepress.benchmarks.summary import machine_facts
from stylepress.benchmarks.verdict.comparison import Comparison, Judgement
from stylepress.benchmarks.verdict.forms.glossary import meanings
from stylepress.benchmarks.verdict.forms.meanwhile import meanwhile
from stylepress.benchmarks.verdict.forms.plots import distributions, in_order, strip
from stylepress.benchmarks.verdict.judgements import reasons_of
from stylepress.benchmarks.verdict.rule import Verdict
from stylepress.benchmarks.wording import SIGNS, signed

GROUPS: Mapping[Verdict, str] = {"FAIL": "What failed", "INCONCLUSIVE": "What is open"}
"""Verdicts that give reasons, in the order of the page; a reason of no figure comes last."""
MOST_REASONS = 8
SLID = 2
"""Photos that are shown under a divider, base and new."""

LOOK = """
.verdict { display: inline-block; font-weight: 700; padding: 2px 12px; border-radius: 999px;
  border: 2px solid currentColor; }
.TREND { color: var(--soft); }
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
.k0 { --curve: #3b6fd4; } .k1 { --curve: #9a4fb5; } .k2 { --curve: #8a7a1f; }
.k3 { --curve: #6b6862; } .k4 { --curve: #2a8a9d; } .k5 { --curve: #b04a6b; }
@media screen and (prefers-color-scheme: dark) {
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
            *_reasons(comparison),
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
    base, new = comparison.labels
    return document(f"{comparison.verdict}: {new} against {base}", body, look=LOOK)


def _head(comparison: Comparison) -> Iterator[str]:
    base, new = comparison.labels
    verdict = signed(comparison.verdict)
    look = look_of(verdict) or ("TREND" if comparison.verdict == "TREND" else "open")
    yield (
        f'<header><h1><span class="verdict {look}">{verdict}</span> '
        f"{escape(new)} against {escape(base)}</h1>"
        f"<p>{prose(comparison.terms())}</p></header>"
    )
    yield '<div class="arms">'
    for word, side in (("base", comparison.base), ("new", comparison.new)):
        facts = f"{side.name}, {side.precision}, {side.size_bytes / 1e6:.3g} MB, {side.digest[:12]}"
        yield f'<b class="{word}">{word}</b><span>{escape(facts)}</span>'
    yield "</div>"


def _reasons(comparison: Comparison) -> Iterator[str]:
    """Say why the verdict is what it is: what failed first, then what is open."""
    of_figures: set[str] = set()
    for verdict, title in GROUPS.items():
        own = reasons_of([one for one in comparison.judgements if one.verdict == verdict])
        of_figures |= {*own}
        yield from _boxed(SIGNS[verdict], title, own)
    yield from _boxed("", "And", [one for one in comparison.reasons if one not in of_figures])


def _boxed(sign: str, title: str, reasons: Sequence[str]) -> Iterator[str]:
    if reasons:
        shown, more = reasons[:MOST_REASONS], reasons[MOST_REASONS:]
        rest = f"<details><summary>{len(more)} more</summary>{listed(more)}</details>"
        yield (
            f'<aside class="{look_of(sign) or "doubt"}"><b>{sign} {title}</b>'
            f"{listed(shown)}{rest if more else ''}</aside>"
        )


def _doubts(comparison: Comparison) -> Iterator[str]:
    doubts = comparison.doubts()
    if doubts:
        yield f'<aside class="doubt"><b>Read with care.</b>{listed(doubts)}</aside>'


def _differing(comparison: Comparison) -> Iterator[str]:
    if comparison.differing:
        rows = [[name, str(a), str(b)] for name, (a, b) in comparison.differing.items()]
        made = table(["field", "base", "new"], rows, label="what differs")
        yield f"<section><h2>Not comparable</h2>{made}</section>"


def _judged(comparison: Comparison) -> Iterator[str]:
    for title, gated in (("What the verdict rests on", True), ("Measured, not judged", False)):
        found = [one for one in comparison.judgements if one.gated is gated]
        if found:
            yield f"<section><h2>{title}</h2>{_judgements(found, title, judged=gated)}</section>"
    known = [list(pair) for pair in meanings(comparison.judgements)]
    if known:
        made = table(["", ""], known, kind="prose", label="what the figures mean")
        yield f"<details><summary>What the figures mean</summary>{made}</details>"


def _judgements(found: Sequence[Judgement], title: str, *, judged: bool) -> str:
    heads = ["figure", *(["verdict"] if judged else []), "base", "new", "worse by", "remark"]
    order: list[Verdict | None] = [*GROUPS]
    rows = [
        [
            one.name,
            *([signed(one.verdict or "")] if judged else []),
            one.shown(one.base),
            one.shown(one.new),
            one.change() or "-",
            _aside(one),
        ]
        for one in sorted(
            found,
            key=lambda one: order.index(one.verdict) if one.verdict in GROUPS else len(order),
        )
    ]
    note = "Worse by: of new against base, with its interval in brackets; below zero is better. "
    if any(one.p_holm is not None for one in found):
        note += (
            "p: how likely such pairs are when new is no worse than the floor, for all figures "
            "together (Holm); only a small one fails. Floor: by how much two equal bundles differ."
        )
    return f"{table(heads, rows, label=title)}<p>{note}</p>"


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
    yield from _slid(comparison)
    yield "<section><h2>Pictures</h2>"
    settings = comparison.settings
    count = len(comparison.gallery) if settings is None else len(settings.photos)
    yield (
        f"<p>{len(comparison.gallery)} of {count} photos, those on which base and new differ most "
        f"first. PSNR is between base and new. {ENLARGE}</p>"
    )
    first = 0
    for one in comparison.gallery:
        level = "equal" if math.isinf(one.psnr_db) else f"PSNR {one.psnr_db:.1f} dB"
        made = side_by_side(one.shown, first=first)
        yield f"<h3>{escape(one.photo)}: {level}</h3>{made}"
        first += len(one.shown)
    yield "</section>"


def _slid(comparison: Comparison) -> Iterator[str]:
    """Base and new of the worst photos under a divider; nothing where their pictures are equal."""
    made, first = [], 0
    for one in comparison.gallery:
        arms = {shown.title: (first + number, shown) for number, shown in enumerate(one.shown)}
        first += len(one.shown)
        if {"base", "new"} <= set(arms) and math.isfinite(one.psnr_db):
            caption = f"{one.photo}: left base, right new."
            made.append(slider(arms["base"], arms["new"], caption))
    if made:
        yield sliders("Base and new", made[:SLID])


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
                    f"<p>A dot is one pair of {unit}, to the right new is worse. The bar is the "
                    "estimate with its interval; in a figure that fails it lies right of the limit.</p>"
                )
        counted = [run for run in runs if not run.invalid]
        if curves := distributions(counted, backend):
            yield f"<h3>All calls: which share is faster than a time</h3>{curves}"
        if order := in_order(runs, backend):
            yield f"<h3>Median of each run, in the order they were made</h3>{order}"
        yield "</section>"


def _machine(comparison: Comparison) -> Iterator[str]:
    machine = comparison.machine
    rows = [*map(list, machine_facts(machine)), *map(list, comparison.told_engines())]
    yield f"<section><h2>Machine</h2>{table(['', ''], rows, kind='prose', label='machine')}"
    if machine.missing:
        silent = [[name.replace("_", " "), why] for name, why in machine.missing.items()]
        unread = table(["", ""], silent, kind="prose", label="what it does not tell")
        yield f"<details><summary>What this machine does not tell</summary>{unread}</details>"
    if comparison.skipped:
        told = [f"{one.what}: {one.why}" for one in comparison.skipped]
        yield f"<h3>Not measured</h3>{listed(told)}"
    yield "</section>"

"""A report as one HTML page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from stylepress.benchmarks.lost import figures, motion, rungs, verdict
from stylepress.benchmarks.page_look import document, image, side_by_side, table
from stylepress.benchmarks.page_timeline import timeline
from stylepress.benchmarks.report import Latency, Model, Report, Shown, mean_of
from stylepress.benchmarks.sections import Section, sections
from stylepress.benchmarks.summary import headline, machine_lines, scenario_line, unread_lines
from stylepress.benchmarks.wording import (
    engine_version,
    megabytes,
    milliseconds,
    percentile,
    times,
)

BAR, GAP = 18, 42


def page(report: Report) -> str:
    """Return the page. Its own policy forbids the browser to fetch anything."""
    title = headline(report)
    body = "\n".join(
        [
            f"<header><h1>{escape(title)}</h1><p>{escape(scenario_line(report))}.</p></header>",
            *_doubts(report),
            *_cards(report),
            *_slider(report),
            *_latencies(report),
            *timeline(report),
            *_sections(sections(report)),
            *_lost(report),
            *_pictures(report),
            *_machine(report),
            f"<footer>{escape(report.tool)}, {escape(report.created)}</footer>",
        ]
    )
    return document(title, body)


def _doubts(report: Report) -> Iterator[str]:
    doubts = report.doubts()
    if doubts:
        items = "".join(f"<li>{escape(doubt)}</li>" for doubt in doubts)
        yield f'<aside class="doubt"><b>Read the times with care.</b><ul>{items}</ul></aside>'


def _cards(report: Report) -> Iterator[str]:
    """The few numbers that matter, large."""
    cards = []
    for model in report.of_role("bundle"):
        latency = report.best(model.name)
        if latency is None:
            continue
        against = [each for each in report.speedups if each.system == latency.name]
        cards += [(times(each.ratio), f"as fast as {each.baseline}") for each in against]
        per_second = 1000 / latency.median_ms
        cards.append((milliseconds(latency.median_ms), f"a frame, {per_second:.0f} a second"))
        cards.append((megabytes(model.size_bytes), f"{model.name}, all files"))
        cards += _quality_cards(report, model)
    boxes = "".join(f"<div><b>{escape(big)}</b>{escape(small)}</div>" for big, small in cards)
    yield f'<section class="cards">{boxes}</section>'


def _quality_cards(report: Report, model: Model) -> Iterator[tuple[str, str]]:
    own = mean_of(report.qualities, model.name, "style_distance")
    for teacher in report.of_role("teacher"):
        theirs = mean_of(report.qualities, teacher.name, "style_distance")
        if own is not None and theirs:
            yield times(own / theirs), "the style distance of the teacher (1 is as near)"
    for drift in report.drifts:
        if drift.compressed == model.name and drift.checks:
            judged = {one.verdict for one in drift.checks if one.name.startswith("direct ")}
            few = ", too few for a distance" if judged == {"not judged"} else ""
            yield drift.verdict, f"its pictures against {drift.original}{few}"
    psnr = mean_of(report.qualities, model.name, "psnr_db")
    if psnr is not None:
        reference = next(one.reference for one in report.qualities if one.model == model.name)
        yield f"{psnr:.1f} dB", f"PSNR against {reference}"


def _slider(report: Report) -> Iterator[str]:
    """Before and after, of the first photo, with a divider that a finger can draw."""
    shown = {each.column: each for each in reversed(report.gallery)}
    before, after = shown.get("content"), shown.get("bundle")
    if before is None or after is None:
        return
    yield (
        '<section><h2>Before and after</h2><div class="slider" style="--cut:50%">'
        f"{image(before, 'before')}{image(after, 'after')}"
        '<input type="range" min="0" max="100" value="50" aria-label="how much of the photo">'
        f"</div><p>Left the photo, right {escape(after.title)}.</p></section>"
    )


def _latencies(report: Report) -> Iterator[str]:
    slowest = max(max(each.timing.round_medians_ms) for each in report.latencies)
    bars = "".join(
        _bar(latency, slowest, number * GAP) for number, latency in enumerate(report.latencies)
    )
    height = GAP * len(report.latencies)
    yield (
        "<section><h2>Latency of one frame</h2>"
        f'<svg role="img" width="100%" height="{height}" aria-label="latency bars">{bars}</svg>'
        "<p>Median of the rounds; the thin line spans the fastest and the slowest round. The p90 is "
        "an estimate from above that holds with 99 % confidence.</p>"
    )
    rows = [
        [
            latency.name,
            milliseconds(latency.median_ms),
            percentile(latency),
            str(latency.timing.calls),
            _engine(latency),
        ]
        for latency in report.latencies
    ]
    yield table(["system", "median", "p90", "calls", "engine"], rows) + "</section>"


def _engine(latency: Latency) -> str:
    facts = {**latency.facts, "version": engine_version(latency)}
    order = ["version", *(name for name in facts if name not in ("version", "backend"))]
    return ", ".join(f"{name.replace('_', ' ')} {facts[name]}" for name in order)


def _bar(latency: Latency, slowest: float, top: int) -> str:
    medians = latency.timing.round_medians_ms
    width, low, high = (
        100 * value / slowest for value in (latency.median_ms, min(medians), max(medians))
    )
    kind = "baseline" if latency.baseline else "own" if latency.model else "null"
    middle = top + 16 + BAR / 2
    return (
        f'<text x="0" y="{top + 12}">{escape(latency.name)}'
        f'<tspan class="value" dx="8">{milliseconds(latency.median_ms)}</tspan></text>'
        f'<rect class="{kind}" x="0" y="{top + 16}" width="{max(width, 0.2):.2f}%" '
        f'height="{BAR}" rx="3"/>'
        f'<line x1="{low:.2f}%" x2="{high:.2f}%" y1="{middle}" y2="{middle}"/>'
    )


def _sections(every: Iterable[Section]) -> Iterator[str]:
    for one in every:
        note = f"<p>{escape(one.note)}</p>" if one.note else ""
        yield (f"<section><h2>{escape(one.title)}</h2>{table(one.heads, one.rows)}{note}</section>")


def _lost(report: Report) -> Iterator[str]:
    """What each bundle lost against its original: its checks, figures, pictures and the ladder."""
    for drift in report.drifts:
        yield from _sections([verdict(drift)])
        yield from _gallery("Where it lost most", report.suffered.get(drift.compressed, ()))
        yield from _sections([figures(drift)])
        ladder = rungs(drift)
        if ladder.rows:
            steps = table(ladder.heads, ladder.rows)
            yield f"<details><summary>{escape(ladder.title)}</summary>{steps}</details>"
    yield from _sections(one for one in (motion(report),) if one.rows)


def _pictures(report: Report) -> Iterator[str]:
    yield from _gallery("Pictures", report.gallery)


def _gallery(title: str, pictures: Sequence[Shown]) -> Iterator[str]:
    if not pictures:
        return
    yield f"<section><h2>{escape(title)}</h2>"
    for photo, shown in groupby(pictures, key=lambda each: each.photo):
        yield f"<h3>{escape(photo)}</h3>{side_by_side(list(shown))}"
    yield "</section>"


def _machine(report: Report) -> Iterator[str]:
    known, unread = machine_lines(report), list(unread_lines(report))
    yield f"<section><h2>Machine</h2>{table(['', ''], [*map(list, known)], kind='prose')}"
    if unread:
        silent = table(["", ""], [*map(list, unread)], kind="prose")
        yield f"<details><summary>What it does not tell</summary>{silent}</details>"
    if report.skipped:
        items = "".join(
            f"<li><b>{escape(each.what)}</b>: {escape(each.why)}</li>" for each in report.skipped
        )
        yield f"<h3>Not measured</h3><ul>{items}</ul>"
    yield "</section>"

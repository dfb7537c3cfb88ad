"""A report as one HTML page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Sequence
from html import escape
from itertools import groupby

from stylepress.benchmarks.page_look import SCRIPT, STYLE
from stylepress.benchmarks.page_timeline import timeline
from stylepress.benchmarks.report import Latency, Model, Report, Shown, mean_of
from stylepress.benchmarks.resources.cost import CONVENTION
from stylepress.benchmarks.sections import megabytes, milliseconds, sections
from stylepress.benchmarks.summary import (
    MEASURES,
    engine_version,
    headline,
    interval,
    machine_lines,
    percentile,
    quality_value,
    scenario_line,
    times,
)

BAR, GAP = 18, 42
LONG = 30
"""Letters of a last cell above which it is broken into lines."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def page(report: Report) -> str:
    """Return the page. Its own policy forbids the browser to fetch anything."""
    title = escape(headline(report))
    body = "\n".join(
        [
            f"<header><h1>{title}</h1><p>{escape(scenario_line(report))}.</p></header>",
            *_doubts(report),
            *_cards(report),
            *_slider(report),
            *_latencies(report),
            *timeline(report),
            *_speedups(report),
            *_models(report),
            *_sections(report),
            *_qualities(report),
            *_pictures(report),
            *_machine(report),
            f"<footer>{escape(report.tool)}, {escape(report.created)}</footer>",
        ]
    )
    return (
        "<!doctype html>\n"
        '<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{title}</title>\n<style>{STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main><script>{SCRIPT}</script></body></html>\n"
    )


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
        f"{_image(before, 'before')}{_image(after, 'after')}"
        '<input type="range" min="0" max="100" value="50" aria-label="how much of the photo">'
        f"</div><p>Left the photo, right {escape(after.title)}.</p></section>"
    )


def _latencies(report: Report) -> Iterator[str]:
    slowest = max(each.median_ms for each in report.latencies)
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
    yield _table(["system", "median", "p90", "calls", "engine"], rows) + "</section>"


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
        f'<line x1="{low:.2f}%" x2="{min(high, 100):.2f}%" y1="{middle}" y2="{middle}"/>'
    )


def _speedups(report: Report) -> Iterator[str]:
    if report.speedups:
        rows = [[x.system, x.baseline, times(x.ratio), interval(x)] for x in report.speedups]
        heads = ["bundle", "baseline", "times as fast", "95 % interval, paired by round"]
        yield f"<section><h2>Against the baselines</h2>{_table(heads, rows)}</section>"


def _models(report: Report) -> Iterator[str]:
    rows = [
        [
            model.name,
            model.family,
            "" if model.parameters is None else f"{model.parameters / 1e6:.3f} M",
            "" if model.macs is None else f"{model.macs / 1e9:.2f} G",
            megabytes(model.weights_bytes),
            megabytes(model.size_bytes),
            model.digest[:12],
        ]
        for model in report.models
    ]
    heads = ["model", "family", "parameters", "MACs a frame", "weights", "all files", "digest"]
    yield (f"<section><h2>Models</h2>{_table(heads, rows)}<p>{escape(CONVENTION)}</p></section>")


def _sections(report: Report) -> Iterator[str]:
    for one in sections(report):
        note = f"<p>{escape(one.note)}</p>" if one.note else ""
        yield (
            f"<section><h2>{escape(one.title)}</h2>{_table(one.heads, one.rows)}{note}</section>"
        )


def _qualities(report: Report) -> Iterator[str]:
    if not report.qualities:
        return
    flicker = {one.model: one for one in report.consistencies}
    rows = []
    for model in report.models:
        own = [one for one in report.qualities if one.model == model.name]
        if own:
            values = [quality_value(report, model, measure) for measure, _ in MEASURES]
            steady = flicker.get(model.name)
            error = "" if steady is None else f"{steady.warp_error:.2e}"
            rows.append([model.name, *values, error, own[0].reference or ""])
    heads = ["model", *(name for _, name in MEASURES), "E_warp", "against"]
    floor = report.consistencies[0].input_warp_error if report.consistencies else None
    still = "" if floor is None else f" The photo itself has {floor:.2e}."
    yield (
        f"<section><h2>Quality, mean of {len(report.scenario.photos)} photos</h2>"
        f"{_table(heads, rows)}<p>Style: patch sliced-Wasserstein distance to the style picture. "
        "Content: difference of locally normalised luminance to the photo. Grid: 1 is a photo, "
        "more is a pattern of 4 pixels. PSNR and SSIM against the model in the last column. "
        f"E_warp: change along the known motion of a camera, lower is steadier.{still}</p>"
        "</section>"
    )


def _pictures(report: Report) -> Iterator[str]:
    if not report.gallery:
        return
    yield "<section><h2>Pictures</h2>"
    for photo, shown in groupby(report.gallery, key=lambda each: each.photo):
        figures = "".join(
            f"<figure>{_image(each, each.column)}<figcaption>{escape(each.title)}</figcaption>"
            "</figure>"
            for each in shown
        )
        yield f'<h3>{escape(photo)}</h3><div class="pictures">{figures}</div>'
    yield "</section>"


def _machine(report: Report) -> Iterator[str]:
    rows = [[name, value] for name, value in machine_lines(report)]
    yield f"<section><h2>Machine</h2>{_table(['', ''], rows, kind='prose')}"
    if report.skipped:
        items = "".join(
            f"<li><b>{escape(each.what)}</b>: {escape(each.why)}</li>" for each in report.skipped
        )
        yield f"<h3>Not measured</h3><ul>{items}</ul>"
    yield "</section>"


def _image(shown: Shown, kind: str) -> str:
    data = base64.b64encode(shown.jpeg).decode("ascii")
    return (
        f'<img class="{kind}" alt="{escape(shown.title)} of {escape(shown.photo)}" '
        f'width="{shown.width}" height="{shown.height}" src="data:image/jpeg;base64,{data}">'
    )


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "wide") -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(
        "<tr>" + "".join(f"<td{_why(cell)}>{escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    top = f"<thead><tr>{head}</tr></thead>" if any(heads) else ""
    if any(len(row[-1]) > LONG for row in rows):
        kind += " wraps"
    return f'<div class="{kind}"><table>{top}<tbody>{body}</tbody></table></div>'


def _why(cell: str) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    return ' class="why"' if cell.startswith("none: ") else ""

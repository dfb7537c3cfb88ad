"""A report as one HTML page that needs nothing else: no script, style or picture from outside."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from itertools import groupby

from stylepress.benchmarks.lost import figures, motion, rungs, verdict
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
from stylepress.benchmarks.page_timeline import timeline
from stylepress.benchmarks.pictures.gallery import AMPLIFIED, original_of
from stylepress.benchmarks.report import Latency, Model, Report, Shown, mean_of
from stylepress.benchmarks.sections import Section, sections
from stylepress.benchmarks.summary import (
    headline,
    machine_lines,
    scenario_line,
    unkept_of,
    unread_lines,
)
from stylepress.benchmarks.wording import (
    engine_version,
    megabytes,
    milliseconds,
    percentile,
    signed,
    times,
)

BAR, GAP = 18, 42


def page(report: Report) -> str:
    """Return the page. Its own policy forbids the browser to fetch anything."""
    title = headline(report)
    body = "\n".join(
        [
            f"<header><h1>{escape(title)}</h1><p>{escape(scenario_line(report))}.</p></header>",
            *_unkept(report),
            *_doubts(report),
            *_cards(report),
            *_sliders(report),
            *_latencies(report),
            *timeline(report),
            *_sections(sections(report)),
            *_lost(report),
            *_gallery("Pictures", report.gallery, first=0),
            *_machine(report),
            f"<footer>{escape(report.tool)}, {escape(report.created)}</footer>",
        ]
    )
    return document(title, body)


def _unkept(report: Report) -> Iterator[str]:
    """Say at the top what failed, and what is open."""
    for title, told in unkept_of(report):
        yield f'<aside class="{look_of(title)}"><b>{escape(title)}</b>{listed(told)}</aside>'


def _doubts(report: Report) -> Iterator[str]:
    doubts = report.doubts()
    if doubts:
        yield f'<aside class="doubt"><b>Read the times with care.</b>{listed(doubts)}</aside>'


def _cards(report: Report) -> Iterator[str]:
    """The few numbers that matter, large, for each bundle."""
    bundles = report.of_role("bundle")
    for model in bundles:
        latency = report.best(model.name)
        if latency is None:
            continue
        per_second = 1000 / latency.median_ms
        where = f"a frame in {latency.backend}, {per_second:.0f} a second"
        cards = [
            *_verdict_cards(report, model),
            (milliseconds(latency.median_ms), where),
            *(
                (times(each.ratio), f"as fast as {each.baseline}")
                for each in report.speedups
                if each.system == latency.name
            ),
            (megabytes(model.size_bytes), "on disk, all files"),
            *_quality_cards(report, model),
        ]
        boxes = "".join(
            f'<div class="{look_of(big)}"><b>{escape(big)}</b>{escape(small)}</div>'
            for big, small in cards
        )
        name = f"<h2>{escape(model.name)}</h2>" if len(bundles) > 1 else ""
        yield f'<section class="cards">{name}{boxes}</section>'


def _verdict_cards(report: Report, model: Model) -> Iterator[tuple[str, str]]:
    for drift in report.drifts:
        if drift.compressed == model.name and drift.checks:
            judged = {one.verdict for one in drift.checks if one.name.startswith("direct ")}
            few = "; too few photos for distances between sets" if judged == {"not judged"} else ""
            yield signed(drift.verdict), f"its pictures against {drift.original}{few}"


def _quality_cards(report: Report, model: Model) -> Iterator[tuple[str, str]]:
    own = mean_of(report.qualities, model.name, "style_distance")
    for teacher in report.of_role("teacher"):
        theirs = mean_of(report.qualities, teacher.name, "style_distance")
        if own is not None and theirs:
            yield times(own / theirs), "as far from the style picture as the teacher"
    psnr = mean_of(report.qualities, model.name, "psnr_db")
    if psnr is not None:
        reference = next(one.reference for one in report.qualities if one.model == model.name)
        yield f"{psnr:.1f} dB", f"PSNR against {reference}"


def _sliders(report: Report) -> Iterator[str]:
    """Before and after of the first photo: what the style does, and what compression did."""
    numbered = [one for one in enumerate(report.gallery) if one[1].photo == report.gallery[0].photo]
    shown = {one.title: (number, one) for number, one in reversed(numbered)}
    content = next((one for one in numbered if one[1].column == "content"), None)
    after = next((one for one in numbered if one[1].column == "bundle"), None)
    if content is None or after is None:
        return
    title = after[1].title
    made = [slider(content, after, f"Left the photo, right {title}.")]
    model = next((one for one in report.models if one.name == title), None)
    original = original_of(model, report.models) if model else None
    if original is not None and original.name in shown:
        caption = f"Left {original.name}, its original, right {title}."
        made.append(slider(shown[original.name], after, caption))
    yield sliders("Before and after", made)


def _latencies(report: Report) -> Iterator[str]:
    slowest = max(max(each.timing.round_medians_ms) for each in report.latencies)
    bars = "".join(
        _bar(latency, slowest, number * GAP) for number, latency in enumerate(report.latencies)
    )
    height = GAP * len(report.latencies)
    yield (
        "<section><h2>Latency of one frame</h2>"
        f'<svg role="img" width="100%" height="{height}" '
        f'aria-label="bars of the medians in the table below">{bars}</svg>'
        "<p>A bar is the median of the rounds; the thin line spans the fastest and the slowest "
        "round. p90: nine of ten calls are faster; it is an estimate from above that holds with "
        "99 % confidence. harness · null only copies the frame: what measuring costs.</p>"
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
    made = table(["system", "median", "p90", "calls", "engine"], rows, label="latency")
    yield f"{made}</section>"


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
        yield f"<section><h2>{escape(one.title)}</h2>{_laid_out(one)}</section>"


def _laid_out(one: Section) -> str:
    lead, note = (f"<p>{prose(text)}</p>" if text else "" for text in (one.lead, one.note))
    return f"{lead}{table(one.heads, one.rows, label=one.title)}{note}"


def _lost(report: Report) -> Iterator[str]:
    """What each bundle lost against its original: its checks, figures, pictures and the ladder."""
    for drift in report.drifts:
        yield from _sections([verdict(drift)])
        suffered = report.suffered.get(drift.compressed, ())
        note = (
            "The pictures whose PSNR is lowest, and of each the place that differs most. Their "
            f"difference is shown {AMPLIFIED} times as strong."
        )
        yield from _gallery("Where it lost most", suffered, note=note)
        yield from _sections([figures(drift)])
        ladder = rungs(drift)
        if ladder.rows:
            title = escape(ladder.title)
            yield f"<details><summary>{title}</summary>{_laid_out(ladder)}</details>"
    yield from _sections(one for one in (motion(report),) if one.rows)


def _gallery(
    title: str, pictures: Sequence[Shown], *, note: str = "", first: int | None = None
) -> Iterator[str]:
    """Show pictures photo by photo; numbered from ``first`` on, they can be borrowed."""
    if not pictures:
        return
    yield f"<section><h2>{escape(title)}</h2><p>{escape(f'{note} {ENLARGE}'.strip())}</p>"
    for photo, group in groupby(pictures, key=lambda each: each.photo):
        shown = list(group)
        yield f"<h3>{escape(photo)}</h3>{side_by_side(shown, first=first)}"
        first = None if first is None else first + len(shown)
    yield "</section>"


def _machine(report: Report) -> Iterator[str]:
    known, unread = machine_lines(report), list(unread_lines(report))
    made = table(["", ""], [*map(list, known)], kind="prose", label="machine")
    yield f"<section><h2>Machine</h2>{made}"
    if unread:
        silent = table(["", ""], [*map(list, unread)], kind="prose", label="what it does not tell")
        yield f"<details><summary>What this machine does not tell</summary>{silent}</details>"
    if report.skipped:
        yield f"<h3>Not measured</h3>{listed([f'{one.what}: {one.why}' for one in report.skipped])}"
    yield "</section>"

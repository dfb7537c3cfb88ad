"""Pages and Markdown of reports and comparisons, from the templates beside this file."""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.gate import meanings
from stylepress.benchmarks.quality.gallery import AMPLIFIED, original_of
from stylepress.benchmarks.report import Model, Report, Shown
from stylepress.benchmarks.show import losses, plots, tables
from stylepress.benchmarks.show.facts import machine_facts, machine_line, report_facts, unread
from stylepress.benchmarks.show.tables import Table
from stylepress.benchmarks.show.words import NEAR, megabytes, milliseconds, times
from stylepress.benchmarks.verdict.comparison import Comparison, Side
from stylepress.benchmarks.verdict.measures import p50_ms

FOLDER = Path(__file__).parent
SUMMARY_LIMIT_BYTES = 900_000
"""GitHub takes 1 MiB a step, and drops a longer summary whole."""
CUT = "\n\n*The rest was left out: a job summary must stay below {} kB. See the JSON file.*\n"
BARS = "▁▂▃▄▅▆▇█"
LONG = 30
"""Letters of a cell above which it is broken into lines."""
LOOKS: Mapping[str, str] = {"✗": "bad", "✓": "good", "?": "open"}
"""How what begins with a verdict's sign looks."""
SLID = 2
"""Photos of a comparison that are shown under a divider."""

Numbered = Sequence[tuple[int, Shown]]
"""Pictures by their number on the page, by which sliders borrow them."""


@dataclass(frozen=True, slots=True)
class Slider:
    """Two pictures of the page under a divider that a finger or the arrow keys move."""

    left_number: int
    left: Shown
    right_number: int
    right: Shown
    caption: str


def page(document: Report | Comparison) -> str:
    """Return a document as one page that needs nothing else: no script or picture from outside."""
    if isinstance(document, Report):
        return _rendered("report.html.j2", {**report_values(document), **_report_page(document)})
    values = {**comparison_values(document), **_comparison_page(document)}
    return _rendered("comparison.html.j2", values)


def markdown(document: Report | Comparison, *, limit_bytes: int = SUMMARY_LIMIT_BYTES) -> str:
    """Return a document as Markdown, cut at a line's end where it grows too long for a summary."""
    if isinstance(document, Report):
        text = _rendered("report.md.j2", report_values(document))
    else:
        text = _rendered("comparison.md.j2", comparison_values(document))
    return cut(re.sub(r"\n{3,}", "\n\n", text).strip() + "\n", limit_bytes)


def cut(text: str, limit_bytes: int) -> str:
    """Shorten Markdown to a number of UTF-8 bytes, at a line's end, and say so.

    >>> cut("one line", 900_000)
    'one line'
    """
    if len(text.encode()) <= limit_bytes:
        return text
    notice = CUT.format(limit_bytes // 1000)
    kept = text.encode()[: limit_bytes - len(notice.encode())].decode(errors="ignore")
    kept = kept.rpartition("\n")[0]
    # A fold that was cut open would swallow the notice.
    if kept.count("<details>") > kept.count("</details>"):
        kept = kept[: kept.rindex("<details>")]
    return kept.rstrip("\n") + notice


def sparkline(ratios: Sequence[float]) -> str:
    """Draw one bar a value, the lowest value lowest.

    >>> sparkline([1.0, 1.1, 1.2])
    '▁▅█'
    """
    low, high = min(ratios), max(ratios)
    if high <= low:
        return BARS[3] * len(ratios)
    top = len(BARS) - 1
    return "".join(BARS[round(top * (ratio - low) / (high - low) + 1e-9)] for ratio in ratios)


def report_values(report: Report) -> dict[str, Any]:
    """Return what both forms of a report are filled with."""
    scenario = report.scenario
    told, quality = tables.looks(report)
    return {
        "title": tables.headline(report),
        "tool": report.tool,
        "created": report.created,
        "setting": f"{len(scenario.photos)} photos, {scenario.rounds} rounds in turns, uint8 in "
        f"and out, {scenario.threads} threads.",
        "failed": list(_kept(report, "FAIL")),
        "open": list(_kept(report, "INCONCLUSIVE")),
        "doubts": report.doubts(),
        "looks": told,
        "quality": quality,
        "steady": tables.steadiness(report),
        "motion": losses.motion(report),
        "where": f"At {scenario.width}x{scenario.height}, one frame after the other, on "
        f"{machine_line(report.machine)}.",
        "speeds": tables.speeds(report),
        "speedups": tables.speedups(report),
        "studies": [
            {
                "verdict": losses.verdict(drift),
                "figures": losses.figures(drift),
                "ladder": losses.rungs(drift, drift.ladder) if drift.ladder else None,
                "worst": list(_photos(report.suffered.get(drift.compressed, ()), 10_000 * (n + 1))),
            }
            for n, drift in enumerate(report.drifts)
        ],
        "more": list(tables.more_tables(report)),
        "models": tables.models(report),
        "facts": list(report_facts(report)),
        "silent": list(unread(report)),
        "skipped": report.skipped,
    }


def comparison_values(comparison: Comparison) -> dict[str, Any]:
    """Return what both forms of a comparison are filled with."""
    reasons = {
        verdict: [one.reason for one in comparison.checks if one.verdict == verdict]
        for verdict in ("FAIL", "INCONCLUSIVE")
    }
    of_figures = {one for group in reasons.values() for one in group}
    trend = comparison.mode == "trend"
    shown = [one for one in comparison.checks if one.verdict is None and one.new is not None]
    told = "; ".join(comparison.reasons)
    return {
        "title": f"{comparison.verdict}: {comparison.labels[1]} against {comparison.labels[0]}",
        "tool": comparison.tool,
        "created": comparison.created,
        "verdict": signed(comparison.verdict),
        "labels": comparison.labels,
        "terms": comparison.terms(),
        "failed": reasons["FAIL"],
        "open": reasons["INCONCLUSIVE"],
        "others": [one for one in comparison.reasons if one not in of_figures],
        "unjudged": [f"{one.what} ({one.why})" for one in comparison.unjudged],
        "doubts": comparison.doubts(),
        "differing": [[k, str(a), str(b)] for k, (a, b) in comparison.differing.items()],
        "judged": _judged("What the verdict rests on", comparison.gated),
        "shown": _judged("Both reports" if trend else "Measured, not judged", shown, judged=False),
        "sparks": [
            (one.name, sparkline(ratios), f"{min(ratios):.3f} to {max(ratios):.3f}")
            for one in comparison.gated
            if one.kind == "paired" and one.values
            for ratios in [[new / base for base, new in one.values]]
        ],
        "runs": _runs(comparison),
        "facts": [*machine_facts(comparison.machine), *comparison.engine_lines()],
        "skipped": [one for one in comparison.skipped if one.why not in told],
    }


def _judged(title: str, checks: Sequence[Check], *, judged: bool = True) -> Table:
    """Lay out figures: what matters comes first, as a phone shows four columns."""
    verdicts = ["verdict"] if judged else []
    limits = ["limit"] if judged else []
    rows = [
        [
            one.name,
            *([signed(one.verdict or "")] if judged else []),
            one.change or "-",
            one.written(one.new),
            *([one.limit_text or "-"] if judged else []),
            one.written(one.base),
            one.remark,
        ]
        for one in checks
    ]
    note = "Worse by: of new against base, with its interval in brackets; below zero is better."
    if any(one.p_holm is not None for one in checks):
        note += (
            " p: how likely such pairs are when new is no worse than the floor (by how much two "
            "equal bundles differ), for all figures together (Holm); only a small one fails."
        )
    heads = ["figure", *verdicts, "worse by", "new", *limits, "base", "remark"]
    return Table(title, heads, rows, note)


def _runs(comparison: Comparison) -> Table | None:
    if not comparison.runs:
        return None
    rows = [
        [
            *(str(run.place), run.part, str(run.pair), run.subject, run.arm),
            *(str(len(run.samples_ns)), f"{p50_ms(run):.4g}", "yes" if run.stable else "no"),
            "; ".join(run.invalid) or "yes",
        ]
        for run in comparison.runs
    ]
    heads = ["#", "part", "pair", "of", "arm", "calls", "p50 ms", "settled", "counts"]
    return Table("Runs", heads, rows)


def _report_page(report: Report) -> dict[str, Any]:
    return {
        "amplified": AMPLIFIED,
        "sliders": _report_sliders(report),
        "gallery": list(_photos(report.gallery, 0)),
        "bundles": list(_cards(report)),
        "bars": Markup(plots.bars([one for one in report.latencies if one.model])),
        "timeline": Markup("".join(plots.timeline(report))),
    }


def _comparison_page(comparison: Comparison) -> dict[str, Any]:
    verdict = comparison.verdict
    looks = {"TREND": "TREND", "NOT COMPARABLE": "open", "NO BASELINE": "open"}
    groups, first = [], 0
    for one in comparison.gallery:
        level = "equal" if math.isinf(one.psnr_db) else f"PSNR {one.psnr_db:.1f} dB"
        groups.append((f"{one.photo}: {level}", list(enumerate(one.shown, first)), one.psnr_db))
        first += len(one.shown)
    discarded = Counter(reason for run in comparison.runs for reason in run.invalid)
    photos = comparison.settings.photos if comparison.settings else ()
    return {
        "look": looks.get(verdict) or _look(signed(verdict)),
        "sides": list(_sides(comparison)),
        "gallery": [(title, numbered) for title, numbered, _ in groups],
        "photo_count": len(photos) or len(groups),
        "sliders": [
            one
            for _, numbered, level in groups
            if math.isfinite(level)
            for one in _arms_slider(numbered)
        ][:SLID],
        "meanings": list(meanings(comparison.checks)),
        "backends": list(_backends(comparison)),
        "session": Markup("".join(plots.session(comparison))),
        "discarded": [
            f"{count} {'run' if count == 1 else 'runs'}: {reason}"
            for reason, count in discarded.most_common()
        ],
        "silent": [
            (name.replace("_", " "), why) for name, why in comparison.machine.missing.items()
        ],
    }


def _kept(report: Report, verdict: str) -> Iterator[str]:
    """Yield every check of that verdict, in a sentence: what failed, or what is open."""
    for drift in report.drifts:
        for one in drift.checks:
            if one.verdict == verdict:
                _, _, value, limit, bounds, why = losses.check_row(one)
                facts = [f"limit {limit}", f"95 % interval {bounds}", why]
                told = ", ".join(fact for fact in facts if fact and not fact.endswith(" -"))
                yield f"{drift.compressed} against {drift.original}, {one.metric}: {value} ({told})"


def _cards(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The few numbers that matter, large, for each bundle."""
    for model in report.of_role("bundle"):
        latency = report.best(model.name)
        if latency is None:
            continue
        rate = f"a frame in {latency.backend}, {1000 / latency.median_ms:.0f} a second"
        yield (
            model.name,
            [
                (milliseconds(latency.median_ms), rate),
                *(
                    (times(each.ratio), f"as fast as {each.baseline}")
                    for each in report.speedups
                    if each.system == latency.name
                ),
                (megabytes(model.weights_bytes), "of weights"),
                *_verdict_cards(report, model),
            ],
        )


def _verdict_cards(report: Report, model: Model) -> Iterator[tuple[str, str]]:
    for drift in report.drifts:
        if drift.compressed == model.name and drift.checks:
            far = [one.verdict for one in drift.checks if one.key == "drift_benign_times"]
            few = "; too few photos for distances between sets" if far == [None] else ""
            yield losses.verdict_word(drift), f"what compression lost of {drift.original}{few}"


def _report_sliders(report: Report) -> list[Slider]:
    """The first photo: what the user approved beside what ships, then what compression did."""
    numbered = [one for one in enumerate(report.gallery) if one[1].photo == report.gallery[0].photo]
    after = next((one for one in numbered if one[1].column == "bundle"), None)
    if after is None:
        return []
    known = {model.name: model for model in report.models}
    found = []
    for column, words in (("teacher", "the teacher"), ("content", "the photo")):
        left = next((one for one in numbered if one[1].column == column), None)
        if left is not None:
            caption = f"Left {words}, right {after[1].title}."
            found.append(Slider(*left, *after, caption))
    model = known.get(after[1].title)
    original = original_of(model, report.models) if model else None
    if original is not None and original.role == "student":
        left = next((one for one in numbered if one[1].title == original.name), None)
        if left is not None:
            caption = f"Left {original.name}, which it was made from, right {after[1].title}."
            found.insert(1, Slider(*left, *after, caption))
    return found[:SLID]


def _arms_slider(numbered: Numbered) -> Iterator[Slider]:
    arms = {shown.title: (number, shown) for number, shown in numbered}
    if {"base", "new"} <= set(arms):
        caption = f"{numbered[0][1].photo}: left base, right new."
        yield Slider(*arms["base"], *arms["new"], caption)


def _photos(pictures: Iterable[Shown], first: int) -> Iterator[tuple[str, Numbered]]:
    numbered = enumerate(pictures, first)
    for photo, group in groupby(numbered, key=lambda each: each[1].photo):
        yield photo, list(group)


def _sides(comparison: Comparison) -> Iterator[tuple[str, str]]:
    sides: tuple[tuple[str, Side | None], ...] = (
        ("base", comparison.base),
        ("new", comparison.new),
    )
    for word, side in sides:
        if side is not None:
            label = f"{side.label}: " if side.label else ""
            size = megabytes(side.size_bytes)
            yield word, f"{label}{side.name}, {side.precision}, {size}, {side.digest[:12]}"


def _backends(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One section a backend: ratios, distribution of all calls, runs in order."""
    paired = [one for one in comparison.checks if one.kind == "paired" and one.values]
    for subject in dict.fromkeys(one.subject for one in paired):
        runs = [run for run in comparison.runs if run.subject == subject]
        counted = [run for run in runs if not run.invalid]
        yield {
            "name": subject,
            "unit": "fresh processes" if comparison.mode == "fresh processes" else "rounds",
            "strips": [
                (f"{one.metric}, pair by pair: {one.change}", Markup(plots.strip(one)))
                for one in paired
                if one.subject == subject and one.verdict
            ],
            "distribution": Markup(plots.distributions(counted, subject)),
            "order": Markup(plots.in_order(runs, subject)),
        }


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        autoescape=lambda name: name is not None and ".html" in name,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "prose": _prose,
        "look": _look,
        "cell_look": _cell_look,
        "cell": _cell,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    made.globals["table"] = _markdown_table
    return made


def _prose(text: str) -> Markup:
    """Return a text as HTML; what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _look(text: str) -> str:
    """Return the CSS class of what begins with a verdict's sign, nothing of other texts."""
    return LOOKS.get(text[:1], "")


def _cell_look(cell: str) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    if cell.startswith("none: "):
        return "why"
    return _look(cell) or ("near" if cell.startswith(NEAR) else "long" if len(cell) > LONG else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_table(one: Table) -> str:
    """Lay a table out as Markdown, with its notes."""
    if not one.rows:
        return ""
    lines = ["| " + " | ".join(one.heads) + " |", "|" + "---|" * len(one.heads)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in one.rows]
    return "\n".join([*([one.lead, ""] if one.lead else []), *lines, "", one.note]).rstrip() + "\n"

"""What pages and Markdown of reports and comparisons are filled with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from markupsafe import Markup

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.gate import meanings
from stylepress.benchmarks.quality.gallery import AMPLIFIED, original_of
from stylepress.benchmarks.report import Report, Shown
from stylepress.benchmarks.show import plots, tables
from stylepress.benchmarks.show.figures import gated
from stylepress.benchmarks.show.words import (
    Table,
    amount,
    machine_facts,
    machine_line,
    meanwhile,
    reasons,
)
from stylepress.benchmarks.verdict.comparison import Comparison
from stylepress.benchmarks.verdict.runs import p50_ms

BARS = "▁▂▃▄▅▆▇█"
LOOKS = {"✗": "bad", "✓": "good", "?": "open"}
"""How what begins with a verdict's sign looks."""
SLID = 2
"""Pairs of pictures that are shown under a divider."""
Numbered = Sequence[tuple[int, Shown]]
"""Pictures by their number on the page, by which sliders borrow them."""


class Slider(NamedTuple):
    """Two pictures of the page under a divider that a finger or the arrow keys move."""

    left: tuple[int, Shown]
    right: tuple[int, Shown]
    caption: str


def values_of(document: Report | Comparison) -> dict[str, Any]:
    """Return what the templates of a document need beside it."""
    own = _report(document) if isinstance(document, Report) else _comparison(document)
    verdicts: dict[str, list[str]] = {"FAIL": [], "INCONCLUSIVE": []}
    for one in gated(document):
        if one.verdict in verdicts:
            verdicts[one.verdict].append(one.reason)
    return {
        "it": document,
        "failed": verdicts["FAIL"],
        "open": verdicts["INCONCLUSIVE"],
        "doubts": document.doubts(),
        "skipped": document.skipped,
        **own,
    }


def look(text: str) -> str:
    """Return the CSS class of what begins with a verdict's sign, nothing of other texts."""
    return LOOKS.get(text[:1], "")


def _report(report: Report) -> dict[str, Any]:
    told, quality = tables.looks(report)
    silent = {"not told": reasons(report.machine.missing)}
    facts = list(machine_facts(report.machine))
    if report.validity is not None:
        facts.append(("meanwhile", meanwhile(report.validity)))
        silent["not watched"] = reasons(report.validity.missing)
    return {
        "title": tables.headline(report),
        "looks": told,
        "quality": quality,
        "steady": tables.steadiness(report),
        "motion": tables.motion(report),
        "machine": machine_line(report.machine),
        "speeds": tables.speeds(report),
        "speedups": tables.speedups(report),
        "studies": [
            (
                tables.study(drift),
                list(_photos(report.suffered.get(drift.compressed, ()), 10_000 * (n + 1))),
            )
            for n, drift in enumerate(report.drifts)
        ],
        "more": [one for one in tables.more_tables(report) if one.rows],
        "models": tables.models(report),
        "facts": facts,
        "silent": [(name, why) for name, why in silent.items() if why],
        "amplified": AMPLIFIED,
        "sliders": list(_report_sliders(report))[:SLID],
        "gallery": list(_photos(report.gallery, 0)),
        "bundles": list(_cards(report)),
        "bars": Markup(plots.bars([one for one in report.latencies if one.model])),
        "timeline": Markup("".join(plots.timeline(report))),
    }


def _cards(report: Report) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The few numbers that matter, large, for each bundle."""
    for model in report.of_role("bundle"):
        best = report.best(model.name)
        if best is None:
            continue
        cards = [
            (
                amount(best.median_ms, "ms"),
                f"a frame in {best.backend}, {1000 / best.median_ms:.0f} a second",
            ),
            *(
                (amount(each.ratio, "x"), f"as fast as {each.baseline}")
                for each in report.speedups
                if each.system == best.name
            ),
            (amount(model.weights_bytes / 1e6, "MB"), "of weights"),
        ]
        for drift in report.drifts:
            if drift.compressed == model.name and drift.judged:
                far = [one.verdict for one in drift.checks if one.key == "drift_benign_times"]
                few = "; too few photos for distances between sets" if far == [None] else ""
                words = f"what compression lost of {drift.original}{few}"
                cards.append((tables.verdict_word(drift), words))
        yield model.name, cards


def _report_sliders(report: Report) -> Iterator[Slider]:
    """The first photo: what the user approved beside what ships, then what compression did."""
    numbered = [one for one in enumerate(report.gallery) if one[1].photo == report.gallery[0].photo]
    after = next((one for one in numbered if one[1].column == "bundle"), None)
    if after is None:
        return
    model = next((one for one in report.models if one.name == after[1].title), None)
    original = original_of(model, report.models) if model else None
    wanted = [("teacher", None, "the teacher")]
    if original is not None and original.role == "student":
        name = original.name
        wanted.append(("student", name, f"{name}, which it was made from"))
    wanted.append(("content", None, "the photo"))
    for column, title, words in wanted:
        for left in numbered:
            if left[1].column == column and title in (None, left[1].title):
                yield Slider(left, after, f"Left {words}, right {after[1].title}.")
                break


def _photos(pictures: Iterable[Shown], first: int) -> Iterator[tuple[str, Numbered]]:
    numbered = enumerate(pictures, first)
    for photo, group in groupby(numbered, key=lambda each: each[1].photo):
        yield photo, list(group)


def _comparison(comparison: Comparison) -> dict[str, Any]:
    verdict = comparison.verdict
    looks = {"TREND": "TREND", "NOT COMPARABLE": "open", "NO BASELINE": "open"}
    told = {one.reason for one in gated(comparison)}
    shown = [one for one in comparison.checks if one.verdict is None and one.new is not None]
    discarded = Counter(reason for run in comparison.runs for reason in run.invalid)
    photos = comparison.settings.photos if comparison.settings else ()
    groups = list(_differences(comparison))
    return {
        "title": f"{verdict}: {comparison.labels[1]} against {comparison.labels[0]}",
        "verdict": signed(verdict),
        "look": looks.get(verdict) or look(signed(verdict)),
        "others": [one for one in comparison.reasons if one not in told],
        "unjudged": [f"{one.what} ({one.why})" for one in comparison.unjudged],
        "differing": [[k, str(a), str(b)] for k, (a, b) in comparison.differing.items()],
        "judged": _judged("What the verdict rests on", comparison.gated),
        "shown": _judged(
            "Both reports" if comparison.mode == "trend" else "Measured, not judged", shown
        ),
        "sparks": [
            (one.name, sparkline(ratios), f"{min(ratios):.3f} to {max(ratios):.3f}")
            for one in comparison.gated
            if one.kind == "paired" and one.values
            for ratios in [[new / base for base, new in one.values]]
        ],
        "runs": _runs(comparison),
        "facts": [*machine_facts(comparison.machine), *comparison.engine_lines()],
        "silent": [(name, why) for name, why in comparison.machine.missing.items()],
        "skipped": [
            one for one in comparison.skipped if one.why not in "; ".join(comparison.reasons)
        ],
        "sides": list(_sides(comparison)),
        "gallery": [(title, numbered) for title, numbered, _ in groups],
        "photo_count": len(photos) or len(groups),
        "sliders": [
            Slider(arms["base"], arms["new"], f"{numbered[0][1].photo}: left base, right new.")
            for _, numbered, level in groups
            for arms in [{one[1].title: one for one in numbered}]
            if math.isfinite(level) and {"base", "new"} <= set(arms)
        ][:SLID],
        "meanings": list(meanings(comparison.checks)),
        "backends": list(_backends(comparison)),
        "session": Markup("".join(plots.session(comparison))),
        "discarded": [
            f"{count} {'run' if count == 1 else 'runs'}: {reason}"
            for reason, count in discarded.most_common()
        ],
    }


def _differences(comparison: Comparison) -> Iterator[tuple[str, Numbered, float]]:
    first = 0
    for one in comparison.gallery:
        level = "equal" if math.isinf(one.psnr_db) else f"PSNR {one.psnr_db:.1f} dB"
        yield f"{one.photo}: {level}", list(enumerate(one.shown, first)), one.psnr_db
        first += len(one.shown)


def _judged(title: str, checks: Sequence[Check]) -> Table:
    """Lay out figures: what matters comes first, as a phone shows four columns."""
    judged = any(one.verdict for one in checks)
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
    verdict, limit = (["verdict"], ["limit"]) if judged else ([], [])
    heads = ["figure", *verdict, "worse by", "new", *limit, "base", "remark"]
    return Table(title, heads, rows, note)


def _runs(comparison: Comparison) -> Table:
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


def sparkline(ratios: Sequence[float]) -> str:
    """Draw one bar a value, the lowest value lowest.

    >>> sparkline([1.0, 1.1, 1.2])
    '▁▅█'
    """
    low, spread = min(ratios), max(ratios) - min(ratios)
    if not spread:
        return BARS[3] * len(ratios)
    return "".join(BARS[round(7 * (ratio - low) / spread + 1e-9)] for ratio in ratios)


def _sides(comparison: Comparison) -> Iterator[tuple[str, str]]:
    for word, side in (("base", comparison.base), ("new", comparison.new)):
        if side is not None:
            label, size = (
                f"{side.label}: " if side.label else "",
                amount(side.size_bytes / 1e6, "MB"),
            )
            yield word, f"{label}{side.name}, {side.precision}, {size}, {side.digest[:12]}"


def _backends(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """One section a backend: ratios, and the distribution of all calls."""
    paired = [one for one in comparison.checks if one.kind == "paired" and one.values]
    for subject in dict.fromkeys(one.subject for one in paired):
        runs = [run for run in comparison.runs if run.subject == subject and not run.invalid]
        yield {
            "name": subject,
            "strips": [
                (f"{one.metric}, pair by pair: {one.change}", Markup(plots.strip(one)))
                for one in paired
                if one.subject == subject and one.verdict
            ],
            "distribution": Markup(plots.distributions(runs, subject)),
        }

"""What a comparison's page and Markdown are filled with."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from stylepress.benchmarks.check import Check, signed
from stylepress.benchmarks.gate import meanings
from stylepress.benchmarks.report import Shown
from stylepress.benchmarks.show import plots
from stylepress.benchmarks.show.facts import machine_facts
from stylepress.benchmarks.show.tables import Table
from stylepress.benchmarks.show.words import megabytes
from stylepress.benchmarks.verdict.comparison import Comparison, Side
from stylepress.benchmarks.verdict.runs import p50_ms

BARS = "▁▂▃▄▅▆▇█"
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


def comparison_page(comparison: Comparison) -> dict[str, Any]:
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
        "look": looks.get(verdict) or look(signed(verdict)),
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
            "unit": "fresh processes",
            "strips": [
                (f"{one.metric}, pair by pair: {one.change}", Markup(plots.strip(one)))
                for one in paired
                if one.subject == subject and one.verdict
            ],
            "distribution": Markup(plots.distributions(counted, subject)),
            "order": Markup(plots.in_order(runs, subject)),
        }


def _arms_slider(numbered: Numbered) -> Iterator[Slider]:
    arms = {shown.title: (number, shown) for number, shown in numbered}
    if {"base", "new"} <= set(arms):
        caption = f"{numbered[0][1].photo}: left base, right new."
        yield Slider(*arms["base"], *arms["new"], caption)


def look(text: str) -> str:
    """Return the CSS class of what begins with a verdict's sign, nothing of other texts."""
    return LOOKS.get(text[:1], "")

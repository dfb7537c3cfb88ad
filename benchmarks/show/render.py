"""Pages and Markdown of reports and comparisons, from the templates beside this file."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from stylepress.benchmarks.quality.gallery import AMPLIFIED, original_of
from stylepress.benchmarks.report import Model, Report, Shown
from stylepress.benchmarks.show import losses, plots, tables
from stylepress.benchmarks.show.comparisons import (
    Numbered,
    Slider,
    comparison_page,
    comparison_values,
    look,
)
from stylepress.benchmarks.show.facts import machine_line, report_facts, unread
from stylepress.benchmarks.show.tables import Table
from stylepress.benchmarks.show.words import megabytes, milliseconds, times
from stylepress.benchmarks.verdict.comparison import Comparison

FOLDER = Path(__file__).parent
SUMMARY_LIMIT_BYTES = 900_000
"""GitHub takes 1 MiB a step, and drops a longer summary whole."""
CUT = "\n\n*The rest was left out: a job summary must stay below {} kB. See the JSON file.*\n"
LONG = 30
"""Letters of a cell above which it is broken into lines."""


def page(document: Report | Comparison) -> str:
    """Return a document as one page that needs nothing else: no script or picture from outside."""
    if isinstance(document, Report):
        return _rendered("report.html.j2", {**report_values(document), **_report_page(document)})
    values = {**comparison_values(document), **comparison_page(document)}
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


def _report_page(report: Report) -> dict[str, Any]:
    return {
        "amplified": AMPLIFIED,
        "sliders": _report_sliders(report),
        "gallery": list(_photos(report.gallery, 0)),
        "bundles": list(_cards(report)),
        "bars": Markup(plots.bars([one for one in report.latencies if one.model])),
        "timeline": Markup("".join(plots.timeline(report))),
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
    return found[:2]


def _photos(pictures: Iterable[Shown], first: int) -> Iterator[tuple[str, Numbered]]:
    numbered = enumerate(pictures, first)
    for photo, group in groupby(numbered, key=lambda each: each[1].photo):
        yield photo, list(group)


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
        "look": look,
        "cell_look": _cell_look,
        "cell": _cell,
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    made.globals["table"] = _markdown_table
    return made


def _prose(text: str) -> Markup:
    """Return a text as HTML; what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _cell_look(cell: str) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    if cell.startswith("none: "):
        return "why"
    return look(cell) or ("long" if len(cell) > LONG else "")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_table(one: Table) -> str:
    """Lay a table out as Markdown, with its notes."""
    if not one.rows:
        return ""
    lines = ["| " + " | ".join(one.heads) + " |", "|" + "---|" * len(one.heads)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in one.rows]
    return "\n".join([*([one.lead, ""] if one.lead else []), *lines, "", one.note]).rstrip() + "\n"

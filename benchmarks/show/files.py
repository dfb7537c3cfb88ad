"""Reports and comparisons as files for build servers and dashboards; a whole folder of them."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from stylepress.benchmarks.check import Check, Verdict
from stylepress.benchmarks.part import json_text, write_text
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.figures import figures, gated
from stylepress.benchmarks.show.render import markdown, page, rendered
from stylepress.benchmarks.verdict.comparison import Comparison

Document = Comparison | Report
ANNOTATIONS_LIMIT = 10
"""GitHub shows so many of one kind a step."""


def forms(document: Document) -> Mapping[str, str]:
    """Return every form of a document by the name of its file, the page last."""
    shared = {
        "annotations.txt": "".join(f"{line}\n" for line in workflow_commands(gated(document))),
        "junit.xml": junit(document),
        **dashboards(document),
    }
    if isinstance(document, Report):
        text = json_text(document)
        return {
            "report.json": text,
            "report.md": markdown(document),
            **shared,
            "report.html": page(document),
        }
    return {
        "comparison.json": json_text(document),
        "summary.md": markdown(document),
        **shared,
        "rows.csv": _csv(list(rows(document))),
        "comparison.html": page(document),
    }


def write_forms(document: Document, out: Path) -> tuple[Path, ...]:
    """Write every form into a folder; return their paths, the page last.

    Raises:
        OutputError: the folder cannot be written to.
    """
    return tuple(write_text(out / name, text) for name, text in forms(document).items())


def junit(document: Document) -> str:
    """Return one test case a gated figure: a failure, skipped while open, else passed."""
    frame = document.settings if isinstance(document, Comparison) else document.scenario
    return rendered(
        "junit.xml.j2",
        it=document,
        cases=gated(document),
        verdict=document.verdict if isinstance(document, Comparison) else "",
        command="compare" if isinstance(document, Comparison) else "bench",
        suite="single stream" + ("" if frame is None else f" {frame.width}x{frame.height}"),
        change=_change,
        summary=markdown(document),
    )


def workflow_commands(checks: Sequence[Check]) -> Iterator[str]:
    """Yield the workflow commands that mark what failed (errors) and what is open (warnings).

    At most ten of a kind; the last one tells how many more there are.
    """
    kinds: tuple[tuple[Verdict, str, str], ...] = (
        ("FAIL", "error", "regression"),
        ("INCONCLUSIVE", "warning", "open"),
    )
    for verdict, kind, what in kinds:
        matching = [check for check in checks if check.verdict == verdict]
        shown = (
            matching if len(matching) <= ANNOTATIONS_LIMIT else matching[: ANNOTATIONS_LIMIT - 1]
        )
        for check in shown:
            yield f"::{kind} title={_property(f'{what}: {check.name}')}::{_data(_change(check))}"
        if len(matching) > len(shown):
            yield f"::{kind} title=stylepress::{len(matching) - len(shown)} more, see the job summary"


def dashboards(document: Document) -> dict[str, str]:
    """Return what github-action-benchmark takes, by the name of its file.

    It has one file a direction and divides by the last value, so figures that are 0, negative or not
    finite are left out.
    """
    every = figures(document) if isinstance(document, Report) else document.checks
    plottable = [one for one in every if one.new and math.isfinite(one.new) and one.new > 0]
    smaller, bigger = (
        [
            {"name": one.name, "unit": one.unit or "1", "value": one.new}
            for one in plottable
            if one.larger_is_worse is worse
        ]
        for worse in (True, False)
    )
    return {
        "github-smaller-is-better.json": _json(smaller),
        "github-bigger-is-better.json": _json(bigger),
    }


def rows(comparison: Comparison) -> Iterator[dict[str, Any]]:
    """Yield one flat row a figure, for tables and change-point tools; None where unknown."""
    for one in comparison.checks:
        yield {
            "time": comparison.created,
            "tool": comparison.tool,
            "mode": comparison.mode,
            "base_digest": comparison.base.digest if comparison.base else None,
            "new_digest": comparison.new.digest,
            **one.model_dump(
                include={
                    *("subject", "metric", "unit", "base", "new", "worse", "low", "high"),
                    *("confidence", "pairs", "p_holm", "limit", "verdict"),
                }
            ),
        }


def _change(one: Check) -> str:
    """Write from what to what a figure went, and its limit."""
    limit = f"limit {one.limit_text}" if one.limit_text else ""
    parts = [part for part in (one.change, limit, one.note) if part]
    before = f"{one.written(one.base)} -> " if one.base is not None else ""
    return f"{before}{one.written(one.new)}{', ' if parts else ''}{', '.join(parts)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _csv(table: Sequence[Mapping[str, Any]]) -> str:
    file = io.StringIO()
    names: Iterable[str] = table[0] if table else ("time",)
    writer = csv.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return file.getvalue()


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

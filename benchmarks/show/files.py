"""Reports and comparisons as pages, Markdown, and files for build servers and dashboards."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from stylepress.benchmarks.check import Check, Verdict, signed
from stylepress.benchmarks.gate import meanings
from stylepress.benchmarks.part import json_text, write_text
from stylepress.benchmarks.quality.checks import BENIGN
from stylepress.benchmarks.quality.gallery import AMPLIFIED
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show import pages, tables
from stylepress.benchmarks.timing.systems import CONVENTION
from stylepress.benchmarks.verdict.comparison import Comparison

ANNOTATIONS_LIMIT = 10
"""GitHub shows so many of one kind a step."""
CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""
LONG = 30
"""Letters of a cell above which it is broken into lines."""


def forms(document: Report | Comparison) -> Mapping[str, str]:
    """Return every form of a document by the name of its file, the page last."""
    noun, told = _noun(document), "report.md" if isinstance(document, Report) else "summary.md"
    return {
        f"{noun}.json": json_text(document),
        told: markdown(document),
        "annotations.txt": "".join(f"{line}\n" for line in workflow_commands(document.gated)),
        "junit.xml": junit(document),
        **dashboards(document),
        **({"rows.csv": _csv(document)} if isinstance(document, Comparison) else {}),
        f"{noun}.html": page(document),
    }


def write_forms(document: Report | Comparison, out: Path) -> tuple[Path, ...]:
    """Write every form into a folder; return their paths, the page last.

    Raises:
        OutputError: the folder cannot be written to.
    """
    return tuple(write_text(out / name, text) for name, text in forms(document).items())


def junit(document: Report | Comparison) -> str:
    """Return one test case a gated figure: a failure, skipped while open, else passed."""
    frame = document.settings if isinstance(document, Comparison) else document.scenario
    return _rendered(
        "junit.xml.j2",
        it=document,
        suite="single stream" + ("" if frame is None else f" {frame.width}x{frame.height}"),
        change=_change,
        summary=markdown(document),
    )


def workflow_commands(checks: Sequence[Check]) -> Iterator[str]:
    """Yield commands that mark what failed and what is open; the tenth of a kind counts the others."""
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


def dashboards(document: Report | Comparison) -> dict[str, str]:
    """Return what github-action-benchmark takes, by the name of its file.

    It has one file a direction and divides by the last value, so figures that are 0, negative or not
    finite are left out.
    """
    every = document.figures() if isinstance(document, Report) else document.checks
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


def _csv(comparison: Comparison) -> str:
    """Return a flat row a figure, for tables and change-point tools; empty where unknown."""
    known = {
        "time": comparison.created,
        "tool": comparison.tool,
        "mode": comparison.mode,
        "base_digest": comparison.base.digest if comparison.base else None,
        "new_digest": comparison.new.digest,
    }
    own = (
        *("subject", "metric", "unit", "base", "new", "worse", "low", "high"),
        *("confidence", "limit", "verdict", "pairs", "p_holm"),
    )
    file = io.StringIO()
    writer = csv.DictWriter(file, [*known, *own], lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows({**known, **one.model_dump()} for one in comparison.checks)
    return file.getvalue()


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


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def page(document: Report | Comparison) -> str:
    """Return a document as one page that needs nothing else: no script or picture from outside."""
    return _rendered(f"{_noun(document)}.html.j2", it=document)


def markdown(document: Report | Comparison) -> str:
    """Return a document as Markdown."""
    text = _rendered(f"{_noun(document)}.md.j2", it=document)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _noun(document: Report | Comparison) -> str:
    return "report" if isinstance(document, Report) else "comparison"


def _rendered(template: str, **values: object) -> str:
    text: str = _environment().get_template(template).render(**values)
    return text


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=lambda name: name is not None and (".html" in name or ".xml" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "prose": _prose,
        "look": pages.look,
        "cell_look": _cell_look,
        "cell": lambda text: text.replace("|", "\\|").replace("\n", " "),
        "xml": lambda text: CONTROL.sub("?", str(text)),
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    environment.globals |= {
        "pages": pages,
        "tables": tables,
        "machine_line": pages.machine_line,
        "meanings": meanings,
        "signed": signed,
        "amplified": AMPLIFIED,
        "amount": tables.amount,
        "benign": BENIGN,
        "convention": CONVENTION,
    }
    return environment


def _prose(text: str) -> Markup:
    """Return a text as HTML; what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def _cell_look(cell: str) -> str:
    """A reason stands where a value would: smaller, and broken into lines."""
    if cell.startswith("none: "):
        return "why"
    return pages.look(cell) or ("long" if len(cell) > LONG else "")

"""Pages and Markdown of reports and comparisons, from the templates beside this file."""

from __future__ import annotations

import base64
import re
from functools import lru_cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from stylepress.benchmarks.check import signed
from stylepress.benchmarks.gate import meanings
from stylepress.benchmarks.quality.checks import BENIGN
from stylepress.benchmarks.quality.gallery import AMPLIFIED
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show import pages, tables, words
from stylepress.benchmarks.show.words import Table
from stylepress.benchmarks.timing.systems import CONVENTION
from stylepress.benchmarks.verdict.comparison import Comparison

CONTROL = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold."""
LONG = 30
"""Letters of a cell above which it is broken into lines."""


def page(document: Report | Comparison) -> str:
    """Return a document as one page that needs nothing else: no script or picture from outside."""
    return _rendered(document, "html")


def markdown(document: Report | Comparison) -> str:
    """Return a document as Markdown."""
    return re.sub(r"\n{3,}", "\n\n", _rendered(document, "md")).strip() + "\n"


def _rendered(document: Report | Comparison, form: str) -> str:
    name = "report" if isinstance(document, Report) else "comparison"
    return rendered(f"{name}.{form}.j2", it=document)


def rendered(template: str, **values: object) -> str:
    """Fill one of the templates."""
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
        "cell": _cell,
        "xml": lambda text: CONTROL.sub("?", str(text)),
        "base64": lambda data: base64.b64encode(data).decode("ascii"),
    }
    environment.globals |= {
        "table": _markdown_table,
        "pages": pages,
        "tables": tables,
        "machine_line": words.machine_line,
        "meanings": meanings,
        "signed": signed,
        "amplified": AMPLIFIED,
        "amount": words.amount,
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


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _markdown_table(sheet: Table, note: str = "", lead: str = "") -> str:
    """Lay a table out as Markdown, with what stands before and behind it."""
    if not sheet.rows:
        return ""
    lines = ["| " + " | ".join(sheet.heads) + " |", "|" + "---|" * len(sheet.heads)]
    lines += ["| " + " | ".join(map(_cell, row)) + " |" for row in sheet.rows]
    lead, note = (" ".join(text.split()) for text in (lead, note))
    return "\n".join([*([lead, ""] if lead else []), *lines, "", note]).rstrip() + "\n"

"""A report as files: for programs, for a job summary, and as one page."""

from __future__ import annotations

import json
from pathlib import Path

from stylepress.benchmarks.page import page
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.summary import summary
from stylepress.benchmarks.verdict.forms.exports import dashboards
from stylepress.replace import replacing_file

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"


def write_report(report: Report, out: Path) -> tuple[Path, ...]:
    """Write a report into a folder in every form; return the files, the page last.

    Raises:
        OutputError: the folder cannot be written to.
    """
    write_json(report, out / JSON)
    write_markdown(report, out / MARKDOWN)
    boards = dashboards(report)
    for name, text in boards.items():
        with replacing_file(out / name) as beside:
            beside.write_text(text, encoding="utf-8")
    write_html(report, out / HTML)
    return tuple(out / name for name in (JSON, MARKDOWN, *boards, HTML))


def write_json(report: Report, path: Path) -> None:
    """Write a report for programs."""
    text = json.dumps(report.model_dump(mode="json"), indent=1, allow_nan=False)
    with replacing_file(path) as beside:
        beside.write_text(text + "\n", encoding="utf-8")


def write_markdown(report: Report, path: Path) -> None:
    """Write a report's tables."""
    with replacing_file(path) as beside:
        beside.write_text(summary(report), encoding="utf-8")


def write_html(report: Report, path: Path) -> None:
    """Write a report as one page that needs nothing else."""
    with replacing_file(path) as beside:
        beside.write_text(page(report), encoding="utf-8")

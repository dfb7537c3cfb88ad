"""A report as files: for programs, for a job summary, and as one page."""

from __future__ import annotations

import json
from pathlib import Path

from stylepress.benchmarks.page import page
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.summary import summary
from stylepress.replace import replacing_file

JSON, MARKDOWN, HTML = "report.json", "report.md", "report.html"


def write_report(report: Report, out: Path) -> tuple[Path, Path, Path]:
    """Write ``report.json``, ``report.md`` and ``report.html`` into a folder.

    Raises:
        OutputError: the folder cannot be written to.
    """
    made = out / JSON, out / MARKDOWN, out / HTML
    write_json(report, made[0])
    write_markdown(report, made[1])
    write_html(report, made[2])
    return made


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

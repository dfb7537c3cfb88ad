"""All forms of a comparison in one folder, as a build server picks them up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stylepress.benchmarks.verdict.comparison import Comparison, comparison_text
from stylepress.benchmarks.verdict.forms.exports import (
    csv_rows,
    dashboards,
    json_lines,
)
from stylepress.benchmarks.verdict.forms.junit import junit
from stylepress.benchmarks.verdict.forms.markdown import job_summary, workflow_commands
from stylepress.benchmarks.verdict.forms.page import comparison_page
from stylepress.replace import replacing_file


def forms(comparison: Comparison) -> Mapping[str, str]:
    """Return every form by the name of its file."""
    return {
        "comparison.json": comparison_text(comparison),
        "comparison.html": comparison_page(comparison),
        "summary.md": job_summary(comparison),
        "annotations.txt": "".join(f"{line}\n" for line in workflow_commands(comparison)),
        "junit.xml": junit(comparison),
        **dashboards(comparison),
        "rows.csv": csv_rows(comparison),
        "rows.jsonl": json_lines(comparison),
    }


def write_comparison(comparison: Comparison, out: Path) -> tuple[Path, ...]:
    """Write every form into a folder; return their paths.

    Raises:
        OutputError: the folder cannot be written to.
    """
    made = []
    for name, text in forms(comparison).items():
        with replacing_file(out / name) as beside:
            beside.write_text(text, encoding="utf-8")
        made.append(out / name)
    return tuple(made)

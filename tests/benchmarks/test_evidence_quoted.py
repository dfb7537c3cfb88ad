"""Every figure that a document quotes has a row that a command measures again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from stylepress.benchmarks.evidence.documents import PLACES, filled, part
from stylepress.benchmarks.evidence.row import Row, Table, read_tables
from tests.benchmarks.quoted import quotes, unbacked

ROOT = Path(__file__).parents[2]
ELSEWHERE = {
    "docs/gpu.md": "figures that pytest -m gpu keeps on a machine with a GPU",
    "docs/serve.md": "figures that tests/runtime/serve/figures.py, soak.py and hostile.py print",
    "docs/serve_threats.md": "limits of the daemon, which its tests hold",
}
"""Documents whose figures are no rows of the tables."""
READ = sorted(
    name
    for pattern in ("*.md", "docs/**/*.md", "*/README.md", "benchmarks/*/README.md")
    for path in ROOT.glob(pattern)
    if ".venv" not in path.parts and path.name != "CHANGELOG.md"
    if (name := path.relative_to(ROOT).as_posix()) not in ELSEWHERE
)
SETTINGS: Mapping[str, Mapping[str, str]] = {
    "docs/benchmarks.md": {
        "5 %": "default of --foreign-load",
        "2 %": "what a locked clock may be off by",
        "95 %": "confidence of intervals",
        "99 %": "confidence of percentiles",
        "0.1 ms": "what the harness may be late by",
        "6 s": "fifty renewals of a counter at 10 Hz, with a margin",
        "20 dB": "limit of the gate",
        "3 times": "limit of the gate",
    },
    "docs/ci.md": {
        "5 %": "default of --foreign-load",
        "10 %": "how far the rounds of a pair may disagree, verdict/session.py",
        "30 dB": "limit of the mean PSNR, drift/gate.py",
        "20 dB": "limit of the worst picture's PSNR, drift/gate.py",
    },
    "docs/results.md": {"95 %": "confidence of intervals"},
    "benchmarks/README.md": {"99 %": "confidence of percentiles"},
}
"""Limits and defaults, which nobody measures: each with what it is."""


@pytest.fixture(scope="module")
def tables() -> dict[str, Table]:
    return read_tables(ROOT / "benchmarks" / "results")


def test_a_quoted_figure_has_a_row() -> None:
    missing = [
        f"{document}:{quote.line}: {quote.text}"
        for document in READ
        for quote in unbacked((ROOT / document).read_text(), {}, SETTINGS.get(document, {}))
    ]
    assert not missing


def test_tables_in_documents_are_made_of_the_rows(tables: Mapping[str, Table]) -> None:
    for name, (document, _) in PLACES.items():
        text = (ROOT / document).read_text(encoding="utf-8")
        made = part(tables[name]) if name in tables else ""
        assert filled(ROOT / document, name, made) == text or name not in tables
    assert set(tables) <= set(PLACES)


def test_each_table_was_measured_in_one_place_from_a_commit(tables: Mapping[str, Table]) -> None:
    assert {"figures", "speed", "power", "judged"} <= set(tables)
    assert all(table.origin.commit for table in tables.values())


def test_a_figure_is_backed_by_its_own_row_as_far_as_it_is_written() -> None:
    row, other = Row("weights", 6.7449, "MB"), Row("weights", 9.9, "MB", "b")
    for text, left in (("6.7 MB", 0), ("6.74 MB", 0), ("7 MB", 0), ("6.8 MB", 1), ("6.7 dB", 1)):
        assert len(list(unbacked(text, {text: [row]}, ()))) == left
    assert list(unbacked("6.7 MB", {"6.7 MB": [row, other]}, ()))
    (found,) = unbacked("\n\nThe student is 12345.6 MB large.", {}, ())
    assert (found.line, found.text) == (3, "12345.6 MB")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("`5 %` and ```\n7 ms\n``` and [link](a-7-ms.md) <!-- 3 s -->", []),
        ("a<!-- speed -->\n| 9 ms |\n<!-- /speed -->\n", []),
        ("x2 ms1 512x512 8-bit 3 samples", []),
        (
            "about 1,024 MB, twice; 3 times; 25 frames a second",
            ["1,024 MB", "3 times", "25 frames a second"],
        ),
    ],
)
def test_only_figures_in_running_text_are_quotes(text: str, found: list[str]) -> None:
    assert [quote.text for quote in quotes(text)] == found

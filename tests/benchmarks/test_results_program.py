"""`make results` writes a table when it was measured, and keeps the old one when it was not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stylepress.benchmarks.figures.result import Provenance, Result, Results
from stylepress.benchmarks.machine.watch import Event, Validity, Watch
from stylepress.benchmarks.tables.__main__ import TABLES, main
from stylepress.benchmarks.tables.blocks import block
from stylepress.benchmarks.tables.provenance import RESULTS
from stylepress.benchmarks.tables.setting import Setting
from stylepress.benchmarks.tables.store import read_results, write_results

BUSY = Event(kind="foreign load", what="others used 40 % of the processor")
HERE = Provenance("2026-01-02", "0", "abc", "a processor", "2 cores", "3.11", "torch 2")
TOGETHER = ["--quiet", "--only", "together", "--checkout"]


def row(subject: str) -> Result:
    return Result(subject, engine="e", precision="int8", size="", figure="f", value=1.0, unit="x")


@pytest.fixture
def checkout(recipes: Path, tmp_path: Path) -> Path:
    """One with recipes, a table of one row, and a document that shows it."""
    (tmp_path / "recipes").symlink_to(recipes)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text(block("together", "old"))
    (tmp_path / RESULTS).mkdir(parents=True)
    write_results(Results("together", (row("kept"),), HERE), tmp_path / RESULTS)
    return tmp_path


def kept(checkout: Path) -> bool:
    return read_results(checkout / RESULTS / "together.csv").rows == (row("kept"),)


def test_the_program_refuses_a_checkout_without_styles(tmp_path: Path) -> None:
    assert main(["--checkout", str(tmp_path), "--quiet"]) == 2


def test_a_table_is_measured_and_written(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TABLES, "together", lambda setting: iter([row("new")]))
    assert main([*TOGETHER, str(checkout)]) == 0
    assert read_results(checkout / RESULTS / "together.csv").rows == (row("new"),)


def test_a_table_of_which_nothing_can_be_measured_is_left_as_it_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TABLES, "together", lambda setting: iter(()))
    assert main([*TOGETHER, str(checkout)]) == 0
    assert kept(checkout)


def test_a_table_that_others_disturb_twice_is_left_as_it_is(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def rows(setting: Setting) -> Iterator[Result]:
        made.append(1)
        yield row("spoiled")

    monkeypatch.setitem(TABLES, "together", rows)
    monkeypatch.setattr(Watch, "judged", lambda *_: Validity(ok=False, events=(BUSY,), samples=1))
    assert main([*TOGETHER, str(checkout)]) == 1
    assert kept(checkout)
    assert len(made) == 2

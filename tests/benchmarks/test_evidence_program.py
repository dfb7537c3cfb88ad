"""The program prints rows, says which are short, and writes a table only when nothing disturbed it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from stylepress.benchmarks.evidence.__main__ import TABLES, Maker, main
from stylepress.benchmarks.evidence.documents import block
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Provenance,
    Row,
    Table,
    promised,
    read_table,
    write_table,
)
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.benchmarks.machine.watch import Event, Validity, Watch

BUSY = Event(kind="foreign load", what="others used 40 % of the processor")
QUIET = Validity(ok=True, events=(), samples=1)
HERE = Provenance("2026-01-02", "0", "abc", "a processor", "2 cores", "3.11", "torch 2")
TOGETHER = ["together", "--quiet", "--write", "--checkout"]
GOOD, BAD = promised("speed", 90, "x", least=80), promised("size", 0.5, "of", most=0.1)


def row(subject: str) -> Row:
    return Row(subject, engine="e", precision="int8", size="", figure="f", value=1.0, unit="x")


@pytest.fixture
def checkout(recipes: Path, tmp_path: Path) -> Path:
    """One with recipes, a table of one row, and a document that shows it."""
    (tmp_path / "recipes").symlink_to(recipes)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "results.md").write_text(block("together", "old"))
    (tmp_path / RESULTS).mkdir(parents=True)
    write_table(Table("together", (row("kept"),), HERE), tmp_path / RESULTS)
    return tmp_path


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch) -> Callable[[Validity], None]:
    """Let the watch say this of whatever runs."""

    def say(validity: Validity) -> None:
        monkeypatch.setattr(Watch, "judged", lambda *_: validity)

    say(QUIET)
    return say


@pytest.fixture
def measure(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a table be made of these parts."""

    def say(table: str, **parts: Sequence[Row]) -> None:
        def maker(rows: Sequence[Row]) -> Maker:
            return lambda setting: iter(rows)

        makers = {name: maker(rows) for name, rows in parts.items()}
        monkeypatch.setitem(TABLES, table, makers)

    return say


def kept(checkout: Path) -> bool:
    return read_table(checkout / RESULTS / "together.csv").rows == (row("kept"),)


def test_rows_are_printed_as_json_and_a_short_one_is_a_failure(
    checkout: Path,
    judge: Callable[[Validity], None],
    measure: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    measure("figures", speed=[GOOD], start=[BAD])
    arguments = ["figures", "--checkout", str(checkout), "--json"]
    assert main([*arguments, "--only", "speed"]) == 0
    assert main(arguments) == 1
    told = capsys.readouterr()
    out = told.out
    assert [one["verdict"] for one in json.loads(out[out.rindex("[") :])] == ["ok", "short"]
    assert "1 short or disturbed: size" in told.err


def test_figures_that_others_disturbed_are_told_and_a_failure(
    checkout: Path,
    judge: Callable[[Validity], None],
    measure: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    measure("figures", speed=[GOOD])
    judge(Validity(ok=False, events=(BUSY,), samples=1))
    assert main(["figures", "--checkout", str(checkout)]) == 1
    told = capsys.readouterr()
    assert GOOD.line() in told.out
    assert "speed was disturbed: others used 40 %" in told.err


def test_a_checkout_without_styles_is_refused(tmp_path: Path) -> None:
    assert main(["--checkout", str(tmp_path), "--quiet"]) == 2


def test_a_table_is_measured_and_written_with_its_document(
    checkout: Path, judge: Callable[[Validity], None], measure: Callable[..., None]
) -> None:
    new = Row("student", "1 lane", "int8", "1x1", "frames a second", 9, "fps", digest="d")
    measure("together", together=[new])
    assert main([*TOGETHER, str(checkout)]) == 0
    assert read_table(checkout / RESULTS / "together.csv").rows == (new,)
    assert "| 1x1 | 1 lane | 9.00 fps |" in (checkout / "docs" / "results.md").read_text()


def test_a_table_of_which_nothing_can_be_measured_is_left_as_it_is(
    checkout: Path, judge: Callable[[Validity], None], measure: Callable[..., None]
) -> None:
    measure("together", together=[])
    assert main([*TOGETHER, str(checkout)]) == 0
    assert kept(checkout)


def test_a_table_that_others_disturb_twice_is_left_as_it_is(
    checkout: Path, judge: Callable[[Validity], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def rows(setting: Setting) -> Iterator[Row]:
        made.append(1)
        yield row("spoiled")

    parts: Mapping[str, Maker] = {"together": rows}
    monkeypatch.setitem(TABLES, "together", parts)
    judge(Validity(ok=False, events=(BUSY,), samples=1))
    assert main([*TOGETHER, str(checkout)]) == 1
    assert kept(checkout)
    assert len(made) == 2

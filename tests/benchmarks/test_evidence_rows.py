"""Tables of figures: promises, what is written is read back, documents are made of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stylepress.benchmarks.evidence import __main__ as program
from stylepress.benchmarks.evidence import judged, speed
from stylepress.benchmarks.evidence.__main__ import PARTS, Part, main
from stylepress.benchmarks.evidence.documents import PLACES, figures_table, part, rewrite
from stylepress.benchmarks.evidence.row import (
    RESULTS,
    Provenance,
    Row,
    Table,
    least,
    most,
    promised,
    read_table,
    write_table,
)
from stylepress.benchmarks.evidence.setting import Setting
from stylepress.benchmarks.machine.watch import Event, Validity, Watch
from stylepress.errors import ArtifactError, InputError

BUSY = Event(kind="foreign load", what="others used 40 % of the processor")
HERE = Provenance("2026-01-02", "0", "abc", "a processor", "2 cores", "3.11", "torch 2")
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
numbers = st.floats(-1e12, 1e12, allow_nan=False)


@given(value=st.floats(0.01, 1e4), bar=st.floats(0.01, 1e4))
@settings(deadline=None)
def test_a_promise_is_kept_on_the_good_side_of_its_bar_and_at_it(value: float, bar: float) -> None:
    assert (promised(Row("a", value), least(bar)).verdict == "ok") == (value >= bar)
    assert (promised(Row("a", value), most(bar)).verdict == "ok") == (value <= bar)


def test_what_could_not_be_measured_is_short_and_a_row_is_one_line() -> None:
    assert promised(Row("a", math.nan), most(1)).verdict == "short"
    line = promised(Row("speed", 98.76, "x", note="why"), least(80, "x")).line()
    assert line.split() == ["speed", "98.8x", "≥", "80.0x", "ok", "(why)"]


@given(st.lists(st.tuples(words, numbers, st.none() | numbers, words), min_size=1, max_size=5))
@settings(deadline=None)
def test_what_is_written_is_read_back_with_five_digits(
    tmp_path_factory: pytest.TempPathFactory,
    values: list[tuple[str, float, float | None, str]],
) -> None:
    rows = tuple(
        Row("f", value, "x", f"{number} {subject}", low=low, note=note)
        for number, (subject, value, low, note) in enumerate(values)
    )
    again = read_table(write_table(Table("t", rows, HERE), tmp_path_factory.mktemp("t")))
    assert again.origin == HERE
    for one, two in zip(rows, again.rows, strict=True):
        assert (one.subject, one.note, one.low is None) == (two.subject, two.note, two.low is None)
        assert two.value == pytest.approx(one.value, rel=1e-4, abs=1e-300)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "subject\n", "\x00"])
def test_what_is_no_table_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="make results"):
        read_table(path)


def test_rows_of_two_measurements_or_one_name_are_no_table(tmp_path: Path) -> None:
    path = write_table(Table("t", (Row("a", 1), Row("b", 1)), HERE), tmp_path)
    path.write_text(path.read_text().replace("abc", "def", 1))
    with pytest.raises(ArtifactError, match="different times"):
        read_table(path)
    with pytest.raises(InputError, match="Name each differently"):
        Table("t", (Row("a", 1), Row("a", 2)), HERE)


def test_rows_of_a_part_take_the_place_of_those_of_their_keys() -> None:
    old, new = Table("t", (Row("a", 1), Row("b", 1)), HERE), Table("t", (Row("b", 2),), HERE)
    assert new.within(old).rows == (Row("a", 1), Row("b", 2))
    assert new.within(None) == new
    lacking = Table("t", (Row("a", 1), promised(Row("b", math.nan), most(3))), HERE)
    found = Table("t", (Row("b", 2, "x", "glass"),), HERE)
    assert found.within(lacking).rows == (Row("a", 1), Row("b", 2, "x", "glass"))


def test_figures_of_styles_have_a_column_each_and_what_is_short_is_bold() -> None:
    rows = (Row("start", 0.1, "s"), Row("fidelity", 0.5, "", "a"), Row("fidelity", 0.9, "", "b"))
    held = (rows[0], *(promised(row, most(0.6)) for row in rows[1:]))
    text = figures_table(held)
    assert "| start | told | 0.10 s |" in text
    assert "| figure | promised | a | b |" in text
    assert "| fidelity | ≤ 0.60 | 0.50 | **0.90**, short |" in text


def test_every_table_of_a_document_is_measured_by_a_part_and_made_of_its_rows() -> None:
    tables = {one.table for one in PARTS}
    assert set(PLACES) <= tables
    took = Row(speed.LATENCY, 5, "ms", "student", "OpenVINO", "int8", "9x9")
    gain = replace(took, figure=speed.GAIN, value=100, unit="x", low=90.0, high=110.0)
    text = part(Table("speed", (gain, took), HERE))
    assert "| student | OpenVINO | int8 | 100x (90.0 to 110), 5.00 ms |" in text
    assert text.endswith(HERE.line())
    direct = Row(judged.DIRECT, 0.1, "x", "glass", judged.INT8, verdict="PASS")
    assert "| INT8 | 0.10x, PASS |" in part(Table("judged", (direct,), HERE))


@pytest.fixture
def checkout(recipes: Path, tmp_path: Path) -> Path:
    """One with recipes, a table of one row, and a document that shows it."""
    (tmp_path / "recipes").symlink_to(recipes)
    (tmp_path / RESULTS).mkdir(parents=True)
    (tmp_path / "README.md").write_text(
        "before\n<!-- optimise -->\nold\n<!-- /optimise -->\nafter\n"
    )
    write_table(Table("optimise", (Row("kept", 1),), HERE), tmp_path / RESULTS)
    return tmp_path


@pytest.fixture
def run(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[Iterable[Row], tuple[Event, ...]], int]:
    """Let the table be made of these rows, while this happens on the machine."""

    def told(rows: Iterable[Row], events: tuple[Event, ...]) -> int:
        def measure(setting: Setting) -> Iterator[Row]:
            yield from rows

        parts = (Part("optimise", "it", measure, {"speed": least(80, "x")}, timed=True),)
        monkeypatch.setattr(program, "PARTS", parts)
        judgement = Validity(ok=not events, events=events, samples=1)
        monkeypatch.setattr(Watch, "judged", lambda *_: judgement)
        return main(["optimise", "--write", "--checkout", str(checkout)])

    return told


def test_a_table_is_measured_and_written_with_its_document(
    checkout: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([Row("speed", 90)], ()) == 0
    (row,) = read_table(checkout / RESULTS / "optimise.csv").rows
    assert (row.value, row.verdict) == (90, "ok")
    text = (checkout / "README.md").read_text()
    assert text.startswith("before\n<!-- optimise -->\n| figure")
    assert "| speed | ≥ 80.0x | 90.0x |" in text
    assert "speed" in capsys.readouterr().out


def test_what_is_promised_and_not_measured_is_a_failure(run: Callable[..., int]) -> None:
    assert run([Row("other", 90)], ()) == 1


def test_a_table_that_others_disturb_is_told_and_left_as_it_is(
    checkout: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([Row("speed", 90)], (BUSY,)) == 1
    assert "it, disturbed: others used 40 %" in capsys.readouterr().err
    assert read_table(checkout / RESULTS / "optimise.csv").rows == (Row("kept", 1),)


def test_a_checkout_without_styles_and_a_document_without_markers_are_refused(
    checkout: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert main(["--checkout", str(tmp_path_factory.mktemp("empty"))]) == 2
    (checkout / "README.md").write_text("nothing")
    with pytest.raises(InputError, match="markers"):
        rewrite(checkout, {"optimise": Table("optimise", (Row("a", 1),), HERE)})

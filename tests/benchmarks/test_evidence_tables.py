"""Tables of results: what is written is read back, and each row is really measured."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from stylepress.benchmarks.evidence import drift, gate, optimised, pictures, speed
from stylepress.benchmarks.evidence.documents import (
    block,
    claims_table,
    filled,
    parts,
    refill,
    speed_table,
)
from stylepress.benchmarks.evidence.pictures import CROP, GAP, TILE, draw_posters
from stylepress.benchmarks.evidence.rivals.rival import Entry, converted, rivals
from stylepress.benchmarks.evidence.row import Provenance, Row, Table, read_table, write_table
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.part import Skipped
from stylepress.benchmarks.quality.pixels import psnr_db
from stylepress.benchmarks.timing.latency import Plan
from stylepress.benchmarks.timing.systems import opened
from stylepress.errors import ArtifactError, BackendError, InputError
from stylepress.progress import Silent
from stylepress.runtime.backends import EngineOptions, missing, open_engine

SIZE = (96, 128)
PLAN = Plan(rounds=2, turn_s=0.01, most_calls=2, warm_up=1)
HERE = Provenance("2026-01-02", "0", "abc", "a processor", "2 cores", "3.11", "torch 2")
words = st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=12)
numbers = st.floats(-1e12, 1e12, allow_nan=False)


@pytest.fixture(scope="module")
def setting(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    return Setting(shipped(recipes), recipes, tmp_path_factory.mktemp("work"), Silent())


@pytest.fixture(scope="module")
def entry(setting: Setting) -> Entry:
    style = setting.style
    bundle = setting.float_bundle(style.student)
    frames = setting.training(SIZE)
    return Entry(style.student, bundle, SIZE, 2, frames, setting.folder("rivals"))


def row(subject: str = "a", value: float = 1.0, **more: str) -> Row:
    columns = {"engine": "e", "precision": "int8", "size": "", "figure": "f", "unit": "x"}
    return Row(subject, value=value, **(columns | more))  # type: ignore[arg-type]


@given(st.lists(st.tuples(words, numbers, st.none() | numbers, words), min_size=1, max_size=5))
def test_what_is_written_is_read_back_with_five_digits(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, float, float | None, str]],
) -> None:
    given_rows = tuple(
        Row(f"{number} {subject}", "", "", "", "f", value, "x", low=low, note=note)
        for number, (subject, value, low, note) in enumerate(rows)
    )
    path = write_table(Table("t", given_rows, HERE), tmp_path_factory.mktemp("t"))
    again = read_table(path)
    assert again.made == HERE
    for one, two in zip(given_rows, again.rows, strict=True):
        assert (one.subject, one.note, one.low is None) == (two.subject, two.note, two.low is None)
        assert two.value == pytest.approx(one.value, rel=1e-4, abs=1e-300)


@pytest.mark.parametrize("text", ["", "a,b\n1,2\n", "subject\n", "\x00"])
def test_what_is_no_table_is_refused_with_the_mend(tmp_path: Path, text: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ArtifactError, match="make results"):
        read_table(path)


def test_rows_of_two_measurements_are_not_one_table(tmp_path: Path) -> None:
    path = write_table(Table("t", (row("a"), row("b")), HERE), tmp_path)
    path.write_text(path.read_text().replace("abc", "def", 1))
    with pytest.raises(ArtifactError, match="different times"):
        read_table(path)


def test_one_name_is_one_row() -> None:
    with pytest.raises(InputError, match="Name each differently"):
        Table("t", (row(), row()), HERE)
    table = Table("t", (row("a"), row("b")), HERE)
    assert table.find("f", subject="b").subject == "b"
    for wanted in ({"subject": "c"}, {"engine": "e"}):
        with pytest.raises(InputError, match="not one"):
            table.find("f", **wanted)


def test_generated_parts_are_replaced_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text(f"before\n{block('one', 'old')}\n{block('two', 'kept')}\nafter\n")
    refill(path, {"one": "new"})
    assert path.read_text() == f"before\n{block('one', 'new')}\n{block('two', 'kept')}\nafter\n"
    assert filled(path.read_text(), {"one": "new"}) == path.read_text()
    with pytest.raises(InputError, match="markers"):
        refill(path, {"three": "x"})


def test_every_rival_draws_what_the_network_draws(entry: Entry) -> None:
    backend = "onnxruntime" if "openvino" in missing() else "openvino"
    frame = entry.frames[0]
    with opened(entry.bundle, backend, EngineOptions(size=SIZE)) as run:
        expected = run(frame)
    found = [one for one in rivals(entry) if not isinstance(one, Skipped)]
    names = {"torch.compile", "MNN", "ncnn", "OpenVINO, NNCF", "OpenVINO, NNCF tuned"}
    assert {one.engine for one in found} - {"OpenVINO"} == names  # not all processors have bf16
    for one in found:
        drawn = one.run(frame)
        assert drawn.shape == expected.shape
        assert drawn.dtype == np.uint8
        least = {"fp32": 35, "bf16": 25, "int8": 12}[one.precision]
        assert psnr_db(drawn[0] / 255, expected[0] / 255) > least, one.engine


def test_a_converter_that_fails_says_its_last_words(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo never >&2; exit 1"]
    with pytest.raises(BackendError, match="never"):
        converted(command, tmp_path / "made", engine="x")


def test_a_rival_that_is_not_installed_is_named(
    entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "stylepress.benchmarks.evidence.rivals.mnn", None)
    skipped = [one for one in rivals(entry) if isinstance(one, Skipped)]
    assert [one.what for one in skipped] == ["MNN"]
    assert "pip install --group results" in skipped[0].why


def refuse(entry: Entry) -> NoReturn:
    raise BackendError("Not now. Ask again.")


@pytest.fixture(scope="module")
def speeds(setting: Setting) -> tuple[Row, ...]:
    """Measured without torch.compile, which takes long to compile: it was tried above."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stylepress.benchmarks.evidence.rivals.rival.compiled", refuse)
        return tuple(speed.speed_rows(setting, sizes={SIZE: PLAN}))


def test_speed_is_measured_for_both_models_in_every_engine(speeds: tuple[Row, ...]) -> None:
    reference = next(one for one in speeds if one.figure == speed.GAIN)
    assert (reference.subject, reference.engine, reference.value) == ("teacher", "torch eager", 1)
    assert {one.subject for one in speeds} == {"teacher", "student"}
    assert all(one.value > 0 and one.digest and one.note for one in speeds)
    lines = speed_table(Table("speed", speeds, HERE)).splitlines()
    assert lines[0].endswith("| 128x96 |")
    assert len(lines) == 2 + len(speeds) // 2 + 2


def test_loss_together_and_optimised_are_measured_and_make_the_claims(
    setting: Setting, speeds: tuple[Row, ...]
) -> None:
    sizes = ("256x256", "512x512")
    tables: Mapping[str, Table] = {
        name: Table(name, tuple(rows), HERE)
        for name, rows in {
            "loss": pictures.loss_rows(setting),
            "together": speed.together_rows(setting, plan=PLAN),
            "optimised": optimised.optimised_rows(setting, steps=2),
            "speed": (replace(one, size=size) for size in sizes for one in speeds),
        }.items()
    }
    assert all(math.isfinite(one.value) for table in tables.values() for one in table.rows)
    assert {one.subject for one in tables["loss"].like(pictures.FILES)} == {
        "teacher dots",
        "student dots",
    }
    made = parts(tables)
    assert set(made) == {"speed", "loss", "together", "claims"}
    assert made["claims"].count("Not measured") == 4


def made_up(*, faster: float, reached: bool, saved: tuple[float, float]) -> Mapping[str, Table]:
    """Tables with the rows that claims ask for: INT8 is ``faster`` times as fast everywhere."""
    small, large = "256x256", "512x512"
    time = {"figure": speed.LATENCY, "unit": "ms"}
    speeds = [
        row(subject, value, engine=engine, precision=kind, size=large, **time)
        for subject in ("teacher", "student")
        for engine in ("OpenVINO", "ONNX Runtime")
        for kind, value in (("fp32", 10.0), ("int8", 10 / faster))
    ]
    eager = [
        row("teacher", value, engine="torch eager", size=size, **time)
        for size, value in ((small, 500.0), (large, 2000.0))
    ]
    half = row("student", 5.0, engine="OpenVINO", precision="bf16", size=large, **time)
    note = optimised.REACHED if reached else optimised.NOT_REACHED
    rows = {
        "speed": [*speeds, *eager, half],
        "loss": [
            *(row(f"s{n}", v, figure=pictures.SAVED, unit="%") for n, v in enumerate(saved)),
            row("s0", 37.3, engine="OpenVINO", figure=pictures.PSNR, unit="dB"),
            row("s0", 11.0, engine="OpenVINO, NNCF", figure=pictures.PSNR, unit="dB"),
        ],
        "together": [
            row(
                "student",
                300.0,
                engine=speed.ALONE,
                size=small,
                figure=speed.RATE,
                unit="fps",
            ),
            row("student", 150.0, engine="2 lanes", size=small, figure=speed.RATE, unit="fps"),
            row("student", 0.5, engine="2 lanes", size=small, figure=speed.MORE),
        ],
        "optimised": [
            row(value=500.0, size=small, figure=optimised.GAIN, note=note),
            row(value=30.0, size=small, figure=optimised.COUNT, unit=""),
            row(value=3.5, size=small, figure=optimised.SECONDS, unit="s"),
        ],
    }
    return {name: Table(name, tuple(some), HERE) for name, some in rows.items()}


def test_claims_are_answered_by_what_was_measured_whatever_that_is() -> None:
    text = claims_table(made_up(faster=2.0, reached=True, saved=(74.0, 71.0)))
    assert "| 500x as fast on a 256x256 photo" in text
    assert "until their style distance was that of one pass" in text
    assert "smaller by 71.0 % or more" in text
    assert "teacher in ONNX Runtime 2.00x" in text
    assert "Over BF16 in OpenVINO: student 1.00x." in text
    assert "takes 5.00 ms (INT8 student in OpenVINO), the teacher in torch eager 2000 ms" in text
    assert "37.3 dB or more" in text
    assert "one at a time 300 fps; 2 lanes 150 fps" in text
    assert "2 lanes at 256x256 0.50x" in text
    assert "Its teacher in torch eager: 2.00 fps" in text


def test_an_aim_that_was_not_reached_is_told() -> None:
    text = claims_table(made_up(faster=0.5, reached=False, saved=(74.0, 71.0)))
    assert "More than 500x as fast" in text
    assert "still above" in text
    assert "student in OpenVINO 0.50x; " in text


def test_claims_name_every_place_where_their_tables_were_measured() -> None:
    tables = dict(made_up(faster=2.0, reached=True, saved=(74.0, 71.0)))
    assert claims_table(tables).count("Measured by") == 1
    other = replace(HERE, measured="2026-02-03")
    tables["loss"] = replace(tables["loss"], made=other)
    assert claims_table(tables).count("Measured by") == 2


def test_nncf_runs_with_the_options_of_our_backend(entry: Entry) -> None:
    pytest.importorskip("nncf")
    openvino = pytest.importorskip("openvino")
    from stylepress.benchmarks.evidence.rivals.half import settings

    engine = open_engine(
        entry.bundle, "openvino", options=EngineOptions(size=SIZE, threads=entry.threads)
    )
    ours = next(iter(engine._by_size.values())).compiled  # type: ignore[attr-defined]
    model = openvino.Core().read_model(entry.bundle.onnx_path())
    theirs = openvino.Core().compile_model(model, "CPU", settings(entry.threads))
    names = [name for name in settings(1) if name in ours.get_property("SUPPORTED_PROPERTIES")]
    assert len(names) == len(settings(1))
    assert [str(ours.get_property(n)) for n in names] == [
        str(theirs.get_property(n)) for n in names
    ]
    engine.close()


def test_a_photo_that_is_optimised_nears_the_style() -> None:
    rng = np.random.default_rng(0)
    style = rng.random((64, 64, 3), dtype=np.float32)
    photo = np.full((64, 64, 3), 0.5, np.float32)
    few, more = (optimised.optimise(photo, style, 0, steps=steps) for steps in (1, 8))
    assert more.distance < few.distance
    reached = optimised.optimise(photo, style, more.distance, steps=20)
    assert reached.steps < 20


def test_a_size_that_memory_cannot_hold_is_left_out(setting: Setting) -> None:
    told: list[str] = []

    class Screen(Silent):
        def warn(self, message: str) -> None:
            told.append(message)

    small = replace(setting, free_gib=3.0, progress=Screen())
    assert not list(speed.speed_rows(small, sizes={(720, 1280): PLAN}))
    assert told == ["1280x720 is left out. It needs 20 GiB of free memory, and there are 3.0."]


def test_the_power_of_the_gate_grows_with_the_slowdown_and_shares_sum_to_all() -> None:
    table = Table("power", tuple(gate.power_rows(trials=20)), HERE)
    for noise, _, slowdowns in gate.ADVICE:
        found = [
            [
                table.find(word, engine=noise.name, subject=f"+{100 * slower:g} %").value
                for word in gate.VERDICTS
            ]
            for slower in slowdowns
        ]
        fails = [shares[0] for shares in found]
        assert fails == sorted(fails)
        assert fails[0] == 0
        assert all(sum(shares) == pytest.approx(100) for shares in found)
    assert set(parts({"power": table})) == {"power"}


def test_int8_and_known_defects_are_judged_and_make_a_table(setting: Setting) -> None:
    defects = {
        "nothing": lambda picture: picture,
        "red 60 levels up": lambda picture: drift.raised(picture, 60, drift.RED),
    }
    rows = tuple(drift.judged_rows(setting, size=(128, 128), defects=defects))
    table = Table("judged", rows, HERE)
    verdicts = {one.engine: one.verdict for one in table.like(drift.DIRECT)}
    assert list(verdicts) == [drift.INT8, *defects]
    assert verdicts["red 60 levels up"] == "FAIL"
    assert verdicts["nothing"] == "PASS"
    assert "colour cast, mean" in table.find(drift.DIRECT, engine="red 60 levels up").note
    assert table.find(drift.CAST).value < 5
    lines = parts({"judged": table})["judged"].splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == [f"| {name}" for name in verdicts]


@pytest.mark.parametrize("damage", drift.DEFECTS.values(), ids=list(drift.DEFECTS))
def test_a_defect_changes_a_picture_and_keeps_its_shape(damage: drift.Damage) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (96, 96, 3), np.uint8)
    made = damage(picture)
    assert (made.shape, made.dtype.name) == (picture.shape, "uint8")
    assert not np.array_equal(made, picture)


def test_the_posters_show_photo_teacher_and_student_and_four_forms_of_each_style(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "SHOWN", ("hill", "lake"))
    whole, middle = draw_posters(setting, tmp_path)
    with Image.open(whole) as picture:
        assert picture.size == (6 * TILE + 5 * GAP, TILE)
    with Image.open(middle) as picture:
        assert picture.size == (4 * CROP + 3 * GAP, CROP)

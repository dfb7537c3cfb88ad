"""Each row is measured from what ships, and a README's table is made of them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.figures import __main__ as program
from stylepress.benchmarks.figures.__main__ import main
from stylepress.benchmarks.figures.measured import GROUPS
from stylepress.benchmarks.figures.pictures import picture_rows
from stylepress.benchmarks.figures.rows import Row
from stylepress.benchmarks.figures.shipped import Shipped, shipped
from stylepress.benchmarks.figures.speed import speed_rows
from stylepress.benchmarks.figures.start import start_rows
from stylepress.benchmarks.figures.video import repeat_clip, video_rows
from stylepress.benchmarks.machine.undisturbed import Measured
from stylepress.benchmarks.quality.motion.clip import make_clip
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.latency import Plan
from stylepress.errors import ArtifactError
from stylepress.progress import Silent
from stylepress.runtime.backends import missing


@pytest.fixture(scope="module")
def styles(recipes: Path) -> Sequence[Shipped]:
    return shipped(recipes)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where rows keep what they export; shared, so that a checkpoint is exported once."""
    return tmp_path_factory.mktemp("work")


@given(value=st.floats(0.01, 1e4), bar=st.floats(0.01, 1e4))
def test_a_row_is_ok_on_the_good_side_of_its_bar_and_at_it(value: float, bar: float) -> None:
    assert Row("a", value, bar, "x", at_least=True).ok == (value >= bar)
    assert Row("a", value, bar, "x", at_least=False).ok == (value <= bar)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_could_not_be_measured_is_short(value: float) -> None:
    row = Row("a", value, 1, "x", at_least=True)
    assert row.verdict == "short"
    assert row.record()["value"] is None


def test_a_row_is_one_line_with_name_value_bar_and_verdict() -> None:
    line = Row("speed", 98.76, 80, "x", at_least=True, note="why").line()
    assert line.split() == ["speed", "98.8x", "≥", "80.0x", "ok", "(why)"]


def test_a_folder_in_which_nothing_ships_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="stylepress build"):
        shipped(tmp_path)


def test_a_style_is_measured_beside_each_form_of_its_teacher(
    styles: Sequence[Shipped], photos: Sequence[Photo], work: Path
) -> None:
    plan = Plan(rounds=6, turn_s=0.01, warm_up=1)
    rows = list(speed_rows(styles, photos, work, progress=Silent(), plan=plan))
    assert [row.bar for row in rows] == [80, 40, 10]
    assert all(row.value > 0 for row in rows[: 2 if "openvino" in missing() else 3])
    assert all("95 % in" in row.note for row in rows[:2])


def test_pictures_of_the_same_network_have_ratio_one(
    styles: Sequence[Shipped], photos: Sequence[Photo], work: Path
) -> None:
    rows = list(picture_rows(styles, photos, work, progress=Silent()))
    assert [row.unit for row in rows] == ["x", "x", "dB", "of"]
    assert [row.value for row in rows[:2]] == pytest.approx([1, 1], rel=0.15)
    assert 15 < rows[2].value < 60


def test_a_video_is_played_from_file_to_file(
    styles: Sequence[Shipped], photos: Sequence[Photo], tmp_path: Path
) -> None:
    paths = [photo.path for photo in photos if photo.path]
    rows = list(
        video_rows(styles, paths, tmp_path, environ=os.environ, progress=Silent(), seconds=0.2)
    )
    assert [row.unit for row in rows] == ["frames/s", "frames/s", "%", "MB", "x"]
    assert all(row.value > 0 for row in rows)
    assert 50 < rows[3].value < 2000


def test_a_repeated_clip_has_the_frames_and_sound_as_often(
    photos: Sequence[Photo], tmp_path: Path
) -> None:
    paths = [photo.path for photo in photos if photo.path]
    once = make_clip(paths, tmp_path / "once.mp4", seconds=0.4, size=(64, 64)).path
    repeat_clip(once, tmp_path / "thrice.mp4", times=3)

    def times_of(path: Path) -> list[float]:
        with av.open(str(path)) as clip:
            return [float(frame.time or 0) for frame in clip.decode(video=0)]

    assert len(times_of(tmp_path / "thrice.mp4")) == 3 * len(times_of(once))
    assert np.all(np.diff(times_of(tmp_path / "thrice.mp4")) > 0)


def test_starting_takes_some_time() -> None:
    assert all(0 < row.value < 60 for row in start_rows(times=1))


def test_the_program_prints_rows_as_json_and_fails_when_one_is_short(
    recipes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Row("speed", 90, 80, "x", at_least=True)
    bad = Row("size", 0.5, 0.1, "of", at_least=False)
    monkeypatch.setitem(GROUPS, "speed", lambda asked: iter([good]))
    monkeypatch.setitem(GROUPS, "start", lambda asked: iter([bad]))
    arguments = ["--recipes", str(recipes), "--json", "--only"]
    assert main([*arguments, "speed"]) == 0
    assert main([*arguments, "speed", "start"]) == 1
    out = capsys.readouterr().out
    assert [row["verdict"] for row in json.loads(out[out.rindex("[") :])] == ["ok", "short"]


def test_the_program_fails_when_others_disturbed_it(
    recipes: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    good = Row("speed", 90, 80, "x", at_least=True)
    disturbed = Measured((good,), ("others used 40 % of the processor",))
    monkeypatch.setattr(program, "measured", lambda *_, **__: disturbed)
    assert main(["--recipes", str(recipes), "--only", "speed"]) == 1
    told = capsys.readouterr()
    assert good.line() in told.out
    assert "speed was disturbed: others used 40 %" in told.err


def test_the_program_ends_with_2_where_nothing_ships(tmp_path: Path) -> None:
    assert main(["--recipes", str(tmp_path), "--quiet"]) == 2

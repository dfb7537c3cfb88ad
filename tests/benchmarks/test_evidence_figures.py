"""Each figure is measured from what ships, and README's table is made of them."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stylepress.benchmarks.evidence import drift, program
from stylepress.benchmarks.evidence.pictures import picture_figures
from stylepress.benchmarks.evidence.program import harness_figures, start_figures
from stylepress.benchmarks.evidence.row import promised
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.evidence.speed import speed_figures
from stylepress.benchmarks.evidence.video import repeat_clip, video_figures
from stylepress.benchmarks.quality.motion.clip import make_clip
from stylepress.benchmarks.quality.photos import Photo
from stylepress.benchmarks.timing.latency import Plan
from stylepress.errors import ArtifactError
from stylepress.progress import Silent
from stylepress.runtime.backends import missing


@pytest.fixture(scope="module")
def setting(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """One working folder for all, so that a checkpoint is exported once."""
    work = tmp_path_factory.mktemp("work")
    return Setting(shipped(recipes), recipes, work, Silent(), environ=os.environ)


@given(value=st.floats(0.01, 1e4), bar=st.floats(0.01, 1e4))
def test_a_promise_is_kept_on_the_good_side_of_its_bar_and_at_it(value: float, bar: float) -> None:
    assert (promised("a", value, "x", least=bar).verdict == "ok") == (value >= bar)
    assert (promised("a", value, "x", most=bar).verdict == "ok") == (value <= bar)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_could_not_be_measured_is_short(value: float) -> None:
    row = promised("a", value, "x", least=1)
    assert row.verdict == "short"
    assert row.record()["value"] is None


def test_a_row_is_one_line_with_name_value_promise_and_verdict() -> None:
    line = promised("speed", 98.76, "x", least=80, note="why").line()
    assert line.split() == ["speed", "98.8x", "≥", "80.0x", "ok", "(why)"]


def test_a_folder_in_which_nothing_ships_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="stylepress build"):
        shipped(tmp_path)


def test_a_style_is_measured_beside_each_form_of_its_teacher(setting: Setting) -> None:
    plan = Plan(rounds=6, turn_s=0.01, warm_up=1)
    rows = list(speed_figures(setting, size=(96, 128), plan=plan))
    assert [row.promise for row in rows] == ["≥ 80.0x", "≥ 40.0x", "≥ 10.0x"]
    assert all(row.value > 0 and row.digest for row in rows[: 2 if "openvino" in missing() else 3])
    assert all("95 % in" in row.note for row in rows[:2])


def test_pictures_of_the_same_network_have_ratio_one(setting: Setting) -> None:
    rows = list(picture_figures(setting))
    assert [row.unit for row in rows] == ["x", "x", "dB", "of"]
    assert [row.value for row in rows[:2]] == pytest.approx([1, 1], rel=0.15)
    assert 15 < rows[2].value < 60


def test_a_video_is_played_from_file_to_file(setting: Setting) -> None:
    rows = list(video_figures(setting, seconds=0.2))
    assert [row.unit for row in rows] == ["frames/s", "frames/s", "%", "MB", "x"]
    assert all(row.value > 0 and row.digest for row in rows)
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


def test_starting_takes_some_time(setting: Setting) -> None:
    assert all(0 < row.value < 60 for row in start_figures(setting, times=1))


def test_the_overhead_of_the_harness_is_measured(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "TURNS", 2)
    monkeypatch.setattr(program, "CALLS", 5)
    (row,) = harness_figures(setting)
    assert math.isfinite(row.value)


def test_judges_are_timed_and_rank_networks_by_the_bits_of_their_weights(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drift, "PICTURES", 12)
    monkeypatch.setattr(drift, "SIDE", 96)
    ranks, took = drift.drift_figures(setting)
    assert ranks.value > 0.5
    assert took.value > 0

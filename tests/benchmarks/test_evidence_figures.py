"""Each figure is really measured, of a style so small that it takes no time."""

from __future__ import annotations

import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from stylepress.benchmarks.evidence import (
    devices,
    judged,
    pictures,
    power,
    program,
    speed,
    trainings,
)
from stylepress.benchmarks.evidence.clip import make_clip
from stylepress.benchmarks.evidence.pictures import GAP_PX, TILE_PX, draw_poster
from stylepress.benchmarks.evidence.setting import Setting, shipped
from stylepress.benchmarks.timing.latency import Plan
from stylepress.errors import ArtifactError, FrameError
from stylepress.progress import Silent
from stylepress.steps import DistilStep
from stylepress.targets.target import load_target
from tests.runtime.clips import write_clip

PLAN = Plan(rounds=2, turn_s=0.01, most_calls=2, warm_up=1)


@pytest.fixture(scope="module")
def setting(recipes: Path, tmp_path_factory: pytest.TempPathFactory) -> Setting:
    """One working folder for all, so that a checkpoint is exported once."""
    work = tmp_path_factory.mktemp("work")
    return Setting(shipped(recipes), recipes, work, Silent(), (128, 128), environ=os.environ)


def test_a_folder_in_which_nothing_ships_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="stylepress build"):
        shipped(tmp_path)


def test_speed_is_measured_beside_each_form_of_the_teacher_and_for_every_width(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(speed, "_compiled", lambda *_: iter(()))  # takes long to compile
    monkeypatch.setattr(speed, "get_args", lambda _: ("nano",))
    rows = list(speed.figures(setting, plan=PLAN))
    assert [row.figure for row in rows] == [*speed.COMPARED, speed.CURVE]
    assert all(row.value > 0 and row.digest for row in rows)
    table = list(speed.rows(setting, plans={(96, 128): PLAN}))
    assert next(row.value for row in table if row.figure == speed.GAIN) == 1
    forms = {(row.subject, row.engine, row.precision) for row in table}
    assert len(forms) == len(table) / 2
    assert {subject for subject, *_ in forms} == {"teacher", "student"}


def test_pictures_of_the_same_network_are_alike_and_the_poster_shows_them(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "find_judges", lambda **_: {})
    found = {row.figure: row.value for row in pictures.figures(setting)}
    assert found[pictures.PATCHES] == pytest.approx(1, rel=0.15)
    assert found[pictures.GRID] == pytest.approx(1, rel=0.15)
    assert 15 < found[pictures.INT8] < 60
    assert found[pictures.STEADY] > 0
    assert found[pictures.SMALL] > 0
    monkeypatch.setattr(pictures, "SHOWN", ("hill", "lake"))
    with Image.open(draw_poster(setting, tmp_path / "styles.jpg")) as picture:
        assert picture.size == (6 * TILE_PX + 5 * GAP_PX, TILE_PX)


def test_a_film_is_followed_where_it_is_there_and_said_to_be_missing_where_not(
    setting: Setting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cv2")
    warned: list[str] = []
    monkeypatch.setattr(setting.progress, "warn", warned.append, raising=False)
    assert not list(pictures._on_footage(setting.style, setting))
    assert "is not here" in warned[0]
    (photo,) = setting.frames("heldout", (120, 160))[0]
    film = [np.roll(photo, 2 * number, axis=1) for number in range(pictures.FRAMES)]
    monkeypatch.setattr(pictures, "FILM", str(write_clip(tmp_path / "pan.mp4", film)))
    (row,) = pictures._on_footage(setting.style, setting)
    assert row.figure == pictures.FOOTAGE
    assert row.value == pytest.approx(1, rel=0.3)


def test_a_video_is_played_from_file_to_file(
    setting: Setting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program, "HD", (72, 128))
    monkeypatch.setattr(program, "SQUARE", (64, 64))
    rows = list(program.video(setting, seconds=0.1))
    assert all(row.value > 0 and row.digest for row in rows)
    assert 50 < next(row.value for row in rows if row.figure == program.MEMORY) < 2000


def test_a_clip_has_the_frames_rate_size_and_sound_asked_for(recipes: Path, tmp_path: Path) -> None:
    photo = recipes / "photos" / "heldout" / "hill.png"
    path = make_clip([photo, photo], tmp_path / "a.mp4", seconds=1, size=(96, 128), fps=20)
    with av.open(str(path)) as container:
        film, sound = container.streams.video[0], container.streams.audio[0]
        assert (film.height, film.width, float(film.average_rate or 0)) == (96, 128, 20)
        assert sum(1 for _ in container.decode(film)) == 20
    with av.open(str(path)) as container:
        samples = np.concatenate([one.to_ndarray() for one in container.decode(audio=0)], axis=1)
    assert samples.shape[1] >= 48_000
    assert 0.2 < np.abs(samples).max() <= 1
    assert sound.codec_context.name == "aac"
    with pytest.raises(FrameError, match="even size"):
        make_clip([photo], tmp_path / "b.mp4", size=(95, 128))


def test_a_start_and_a_training_take_some_time(setting: Setting) -> None:
    assert all(0 < row.value < 60 for row in program.starts(setting, times=1))
    short = DistilStep(preset="nano", steps=2, crop_px=64, batch=1, seed=0)
    (row,) = trainings.figures(setting, short, turns=1)
    assert row.value > 0


def test_the_power_of_the_gate_grows_with_the_slowdown_and_shares_sum_to_all() -> None:
    rows = list(power.rows(trials=20))
    for noise, _, _, slowdowns in power.ADVICE:
        own = [row.value for row in rows if row.engine == noise.name]
        shares = [own[n : n + 3] for n in range(0, len(own), 3)]
        assert len(shares) == len(slowdowns)
        fails = [share[0] for share in shares]
        assert fails == sorted(fails)
        assert fails[0] == 0
        assert all(sum(share) == pytest.approx(100) for share in shares)


def test_what_falls_on_both_arms_is_not_what_a_pair_differs_by() -> None:
    shared = power.Noise("drifts and is disturbed", spread=0.0, walk=0.3, spikes=0.1)
    base, new = np.array(shared.pairs(np.random.default_rng(1), 200, 5)).T
    assert base.std() > 0.1
    assert abs(np.median(new / base) - 1) < 0.01
    assert (new / base).std() < 0.2 * base.std()


def test_int8_and_known_defects_are_judged(setting: Setting) -> None:
    defects = {
        "nothing": lambda picture: picture,
        "red 60 levels up": lambda picture: judged.raised(picture, 60, judged.RED),
    }
    rows = list(judged.rows(setting, defects=defects))
    verdicts = {row.engine: row for row in rows}
    assert list(verdicts) == [judged.INT8, *defects]
    assert verdicts["red 60 levels up"].verdict == "FAIL"
    assert "colour cast, mean" in verdicts["red 60 levels up"].note
    assert verdicts["nothing"].verdict == "PASS"
    assert len(rows) == 3


def test_a_defect_changes_a_picture_and_keeps_its_shape() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (320, 320, 3), np.uint8)
    for damage in judged.DEFECTS.values():
        made = damage(picture)
        assert (made.shape, made.dtype.name) == (picture.shape, "uint8")
        assert not np.array_equal(made, picture)


def test_models_are_lowered_to_a_profile_in_the_precision_that_it_runs_best(
    setting: Setting,
) -> None:
    targets = [load_target("cpu"), load_target("h100")]
    rows = {(row.subject, row.engine): row for row in devices.rows(setting, targets=targets)}
    assert rows["dots teacher", "cpu"].precision == "fp32"
    assert rows["dots teacher", "h100"].precision == "fp16"
    assert all(row.value > 32 for row in rows.values() if row.precision != "int8")

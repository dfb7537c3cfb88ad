"""A user's video is read from its middle, followed, and told of in every form of a report."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.artifact import file_digest
from stylepress.benchmarks.bench import BenchOptions, bench
from stylepress.benchmarks.evidence.clip import make_clip
from stylepress.benchmarks.part import FileFact, Skipped, json_text, read_json, write_text
from stylepress.benchmarks.quality.motion.course import open_flow
from stylepress.benchmarks.quality.motion.footage import FRAMES, Footage, read_footage
from stylepress.benchmarks.quality.motion.steadiness import Painters, on_clip
from stylepress.benchmarks.quality.trials import DriftOptions, read_footages
from stylepress.benchmarks.report import Report
from stylepress.benchmarks.show.files import markdown as summary
from stylepress.benchmarks.show.files import page
from stylepress.benchmarks.show.tables import motion
from stylepress.errors import FrameError
from stylepress.progress import Silent
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]

SIZE = (96, 128)
FACT = FileFact(name="hill.mp4", sha256="0" * 64)


@pytest.fixture(scope="module")
def flow() -> str:
    found = open_flow()
    if isinstance(found, str):
        pytest.skip(found)
    return found[0]


@pytest.fixture(scope="module")
def clip(photo_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("footage") / "hill.mp4"
    return make_clip([photo_folder / "hill.png"], path, seconds=2, size=SIZE, fps=20)


@pytest.fixture(scope="module")
def footage(clip: Path) -> Footage:
    return read_footage(clip, SIZE, progress=Silent())


def read(path: Path, *, count: int = FRAMES) -> Footage:
    return read_footage(path, (64, 64), count=count, progress=Silent())


def test_a_clip_is_cut_to_the_size_and_known_by_name_and_digest(
    footage: Footage, clip: Path
) -> None:
    assert [frame.shape for frame in footage.frames] == [(*SIZE, 3)] * FRAMES
    assert footage.fact == FileFact(name="hill.mp4", sha256=file_digest(clip))
    assert read(clip, count=3).frames[0].shape == (64, 64, 3)


def test_frames_are_taken_after_the_last_key_frame_before_the_middle(tmp_path: Path) -> None:
    photos, rng = [], np.random.default_rng(0)
    for level in (20, 100, 180):
        photos.append(tmp_path / f"{level}.png")
        Image.fromarray(rng.integers(level, level + 60, (90, 90, 3), np.uint8)).save(photos[-1])
    film = make_clip(photos, tmp_path / "film.mp4", seconds=6, size=(64, 64), fps=20)
    levels = [frame.mean() for frame in read(film, count=6).frames]
    assert levels == pytest.approx([130] * 6, abs=3)
    assert read(film, count=500).frames[0].mean() == pytest.approx(50, abs=3)


def test_a_clip_with_fewer_frames_than_asked_for_is_taken_whole(clip: Path) -> None:
    assert len(read(clip, count=500).frames) == 40


def test_a_header_that_promises_more_than_the_file_holds_is_mended_from_the_beginning(
    photo_folder: Path, tmp_path: Path
) -> None:
    whole = make_clip([photo_folder / "hill.png"], tmp_path / "a.mkv", seconds=9, size=(64, 64))
    data = whole.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(data[: len(data) // 8])
    assert len(read(tmp_path / "cut.mkv", count=4).frames) >= 2


def test_one_frame_is_no_clip(photo_folder: Path, tmp_path: Path) -> None:
    hill = photo_folder / "hill.png"
    one = make_clip([hill], tmp_path / "one.mp4", seconds=1 / 30, size=(64, 64))
    with pytest.raises(FrameError, match=r"1 frame that.* Give a longer video with `--clip`\."):
        read(one)


def test_what_is_no_video_is_refused_with_the_mend(photo_folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "notes.mp4"
    text.write_text("not a film\n" * 99, encoding="utf-8")
    for path in (text, photo_folder / "hill.png"):
        with pytest.raises(FrameError, match=r"neither a picture nor a video.*\. Use a file"):
            read(path)
    with pytest.raises(FrameError, match=r"absent\.mp4"):
        read(tmp_path / "absent.mp4")


def test_every_model_is_followed_along_the_flow_of_the_clip(footage: Footage, flow: str) -> None:
    rng = np.random.default_rng(0)

    def noisy(frame: Pixels) -> Pixels:
        noise = rng.normal(0, 8, frame.shape)
        return np.clip(np.rint(frame + noise), 0, 255).astype(np.uint8)

    painters: Painters = {
        model("student", "student"): lambda frame: frame,
        model("bundle", "bundle"): noisy,
    }
    found = on_clip(footage, painters, progress=Silent())
    assert not isinstance(found, str)
    values = {(one.subject, one.metric): one.new or 0 for one in found}
    same, loud = (f"{name}, hill.mp4" for name in ("student", "bundle"))
    put_in = values[same, "warping error put in"]
    assert values[same, "warping error"] == put_in == values[loud, "warping error put in"]
    more = values[loud, "warping error"] - put_in
    assert more * (255 / 8) ** 2 == pytest.approx(1.5, abs=0.5)
    assert (same, "flicker") not in values
    assert values[loud, "flicker"] > 5
    (of,) = {one.of for one in found}
    start = f"hill.mp4 ({footage.fact.sha256[:12]}): {FRAMES} frames; flow estimated by {flow}; "
    assert of.startswith(start)
    assert 80 < float(re.findall(r"(\d+)% can be seen", of)[0]) < 100


def test_a_clip_that_cannot_be_followed_says_why(footage: Footage, flow: str) -> None:
    painters: Painters = {model("bundle", "bundle"): lambda frame: frame}
    rng = np.random.default_rng(1)
    scenes = [rng.integers(0, 256, (*SIZE, 3), np.uint8) for _ in range(3)]
    found = on_clip(Footage(FACT, scenes), painters, progress=Silent())
    assert isinstance(found, str)
    assert "longer scenes" in found


def test_without_pyav_every_clip_is_skipped_with_the_extra(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "stylepress.benchmarks.quality.motion.footage"
    monkeypatch.setitem(sys.modules, name, None)
    (told,) = read_footages([Path("hill.mp4")], SIZE, progress=Silent())
    assert isinstance(told, Skipped)
    assert told.what == "motion of hill.mp4"
    assert "pip install 'stylepress[video]'" in told.why


@pytest.fixture(scope="module")
def told(style: Mapping[str, Path], options: BenchOptions, clip: Path, flow: str) -> Report:
    return bench(
        [style["bundle"]],
        teacher=None,
        student=style["student"],
        photos=style["photos"],
        style=None,
        options=replace(
            options,
            backends=("onnxruntime",),
            clips=(clip,),
            drift=DriftOptions(wanted=False),
            starts=0,
            settings=(),
        ),
        progress=Silent(),
    )


def test_a_report_tells_of_the_camera_and_of_the_clip(told: Report, tmp_path: Path) -> None:
    models = ["dots fp32", "dots int8"]
    subjects = list(dict.fromkeys(one.subject for one in told.steadiness))
    assert subjects == [*models, *(f"{name}, hill.mp4" for name in models)]
    write_text(tmp_path / "report.json", json_text(told))
    assert read_json(tmp_path / "report.json", Report).steadiness == told.steadiness


def test_page_and_summary_show_the_clip_and_how_its_motion_is_known(told: Report) -> None:
    assert len(motion(told).rows) == 4
    for text in (summary(told), page(told)):
        assert re.search(r"hill\.mp4 \(\w{12}\): 24 frames; flow estimated by OpenCV ", text)
        assert re.search(r"of each frame \d\d% can be seen", text)

"""Flicker is what compression adds to motion, and noise gain what a model makes of a still scene."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.quality.features.extractor import LpipsFact
from stylepress.benchmarks.quality.motion.camera import camera, render
from stylepress.benchmarks.quality.motion.flow import Flow, Flows, open_flows
from stylepress.benchmarks.quality.motion.steadiness import Gauges, Motion, Painters, consistencies
from stylepress.benchmarks.quality.motion.video import (
    NOISE_LEVELS,
    flicker,
    flow_gap,
    noise_gain,
    noisy_stills,
    perceptual_gap,
)
from stylepress.benchmarks.report import Consistency
from stylepress.progress import Silent
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]

SIZE = (48, 64)


class Gap:
    """Stands for LPIPS."""

    fact = LpipsFact(net="alex", backbone_sha256="a", heads_sha256="b")

    def distance(self, one: Pixels, two: Pixels) -> float:
        return float(np.abs(one.astype(float) - two).mean()) / 255


class Flickering:
    """A model that makes every other frame lighter."""

    def __init__(self, levels: int) -> None:
        self.levels, self.count = levels, 0

    def __call__(self, frame: Pixels) -> Pixels:
        self.count += 1
        lighter = frame.astype(int) + self.levels * (self.count % 2)
        return np.asarray(np.minimum(lighter, 255), np.uint8)


def brightness(start: Pixels, end: Pixels) -> Flow:
    """Stands for an estimated flow: as far to the right as the picture gets lighter."""
    change = float(end.mean() - start.mean())
    return np.stack([np.full(SIZE, change), np.zeros(SIZE)], axis=-1).astype(np.float32)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = np.random.default_rng(0).integers(0, 200, (9, 12, 3), np.uint8)
    path = tmp_path_factory.mktemp("photo") / "hill.png"
    Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def film(photo: Path) -> Sequence[Pixels]:
    still, matrices = camera(photo, SIZE, 300)
    return [np.array(frame) for frame in render(still, matrices[:5], SIZE)]


@pytest.fixture(scope="module")
def rows(photo: Path) -> dict[str, Consistency]:
    """A model that copies, one that halves the contrast, and one that flickers."""
    painters: Painters = {
        model("teacher", "teacher"): lambda frame: frame,
        model("student", "student"): lambda frame: np.rint(64 + frame / 2).astype(np.uint8),
        model("bundle", "bundle"): Flickering(20),
    }
    motion, gauges = Motion(photo, SIZE, 5), Gauges(Flows("light", brightness, brightness), Gap())
    return {one.model: one for one in consistencies(motion, painters, gauges, progress=Silent())}


def test_a_model_that_flickers_is_less_steady_than_one_that_copies(
    rows: dict[str, Consistency],
) -> None:
    copied, wild = rows["teacher"], rows["bundle"]
    assert copied.warp_error == pytest.approx(copied.input_warp_error)
    assert wild.warp_error - copied.warp_error == pytest.approx((20 / 255) ** 2, rel=0.15)


def test_each_model_is_held_against_its_original(rows: dict[str, Consistency]) -> None:
    assert {name: one.reference for name, one in rows.items()} == {
        "teacher": None,
        "student": "teacher",
        "bundle": "student",
    }
    assert (rows["teacher"].flicker, rows["teacher"].tof, rows["teacher"].tlp) == (None,) * 3
    wild = rows["bundle"]
    assert wild.flicker == pytest.approx(20, rel=0.1)
    assert wild.tof == pytest.approx(20, rel=0.1)
    assert wild.tlp == pytest.approx(100 * 20 / 255, rel=0.3)


def test_the_noise_of_a_still_scene_is_told_of_every_model(rows: dict[str, Consistency]) -> None:
    assert rows["teacher"].noise_gain == 1
    assert rows["student"].noise_gain == pytest.approx(0.5, rel=0.05)
    assert (rows["bundle"].noise_gain or 0) > 2


def test_what_there_is_nothing_to_measure_with_is_null_and_told(photo: Path) -> None:
    painters = {model("a", "student"): lambda f: f, model("b", "bundle"): lambda f: f}
    motion, gauges = Motion(photo, SIZE, 3), Gauges("no flow", "no weights")
    one = list(consistencies(motion, painters, gauges, progress=Silent()))[1]
    assert (one.flicker, one.tof, one.tlp) == (0, None, None)
    assert [(each.what, each.why) for each in gauges.absent()] == [
        ("tOF", "no flow"),
        ("tLP", "no weights"),
    ]


def test_what_does_not_move_is_no_flicker(film: Sequence[Pixels]) -> None:
    lighter = [np.minimum(frame.astype(int) + 9, 255).astype(np.uint8) for frame in film]
    assert flicker(film, lighter) < 0.2
    assert flow_gap(film, film, brightness) == 0
    assert perceptual_gap(film, film, Gap()) == 0


def test_the_noise_that_is_put_in_has_the_deviation_that_is_told() -> None:
    grey = np.full((64, 64, 3), 128, np.uint8)
    noise = np.stack(noisy_stills(grey)) - 128.0
    assert noise.std() == pytest.approx(np.sqrt(NOISE_LEVELS**2 + 1 / 12), rel=0.01)
    assert noise_gain(lambda f: np.zeros_like(f), noisy_stills(grey)) == 0


def test_a_cut_between_scenes_is_no_motion(film: Sequence[Pixels]) -> None:
    dark, light = np.zeros_like(film[0]), np.full_like(film[0], 200)
    one, two = [dark, dark, dark, dark], [dark, dark, light, light]
    assert flicker(one, two) == pytest.approx(200 / 3)
    assert flicker(one, two, cuts=[2]) == 0
    assert flow_gap(one, two, brightness, cuts=[2]) == 0
    assert perceptual_gap(one, two, Gap(), cuts=[2]) == 0


def test_without_opencv_the_reason_and_the_extra_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    monkeypatch.delitem(sys.modules, "stylepress.benchmarks.quality.motion.opencv", raising=False)
    found = open_flows()
    assert isinstance(found, str)
    assert "pip install 'stylepress[flow]'" in found


def test_estimated_flows_follow_a_shift() -> None:
    found = open_flows()
    if isinstance(found, str):
        pytest.skip(found)
    noise = np.random.default_rng(0).integers(0, 255, (16, 20, 3)).astype(np.uint8)
    large = np.asarray(Image.fromarray(noise).resize((160, 128), Image.Resampling.BICUBIC))
    for estimate in (found.source, found.drawn):
        flow = estimate(large[:, 4:132], large[:, 1:129])
        np.testing.assert_allclose(flow[16:-16, 16:-16].mean((0, 1)), [3, 0], atol=0.3)

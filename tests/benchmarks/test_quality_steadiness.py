"""Flicker is what compression adds to motion, and noise gain what a model makes of a still scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.check import Check
from stylepress.benchmarks.quality.motion.steadiness import (
    NOISE_LEVELS,
    Painters,
    flicker,
    noise_gain,
    noisy_stills,
    on_camera,
)
from stylepress.progress import Silent
from tests.benchmarks.models import model

Pixels = NDArray[np.uint8]

SIZE = (48, 64)


class Flickering:
    """A model that makes every other frame lighter."""

    def __init__(self, levels: int) -> None:
        self.levels, self.count = levels, 0

    def __call__(self, frame: Pixels) -> Pixels:
        self.count += 1
        lighter = frame.astype(int) // 2 + self.levels * (self.count % 2)
        return np.asarray(lighter, np.uint8)


Rows = dict[tuple[str, str], Check]


@pytest.fixture(scope="module")
def rows(photo_folder: Path) -> Rows:
    """A model that copies, one that halves the contrast, and one that flickers too."""
    painters: Painters = {
        model("teacher", "teacher"): lambda frame: frame,
        model("student", "student"): lambda frame: frame // np.uint8(2),
        model("bundle", "bundle"): Flickering(20),
    }
    found = on_camera(photo_folder / "hill.png", SIZE, 5, painters, progress=Silent())
    return {(one.subject, one.metric): one for one in found}


def value(rows: Rows, model: str, metric: str) -> float:
    found = rows[model, metric].new
    assert found is not None
    return found


def test_a_model_that_flickers_is_less_steady_than_one_that_does_not(rows: Rows) -> None:
    floor = value(rows, "teacher", "warping error put in")
    assert value(rows, "teacher", "warping error") == pytest.approx(floor)
    more = value(rows, "bundle", "warping error") - value(rows, "student", "warping error")
    assert more == pytest.approx((20 / 255) ** 2, rel=0.15)


def test_each_model_is_held_against_its_original(rows: Rows) -> None:
    against = {name: one.note for (name, metric), one in rows.items() if metric == "flicker"}
    assert against == {"student": "against teacher", "bundle": "against student"}
    assert value(rows, "bundle", "flicker") == pytest.approx(20)


def test_the_noise_of_a_still_scene_is_told_of_every_model(rows: Rows) -> None:
    assert value(rows, "teacher", "noise gain") == pytest.approx(1)
    assert value(rows, "student", "noise gain") == pytest.approx(0.5, rel=0.05)
    assert value(rows, "bundle", "noise gain") > 2


def test_the_noise_that_is_put_in_has_the_deviation_that_is_told() -> None:
    stills = noisy_stills(np.full((64, 64, 3), 128, np.uint8))
    deviation = (np.stack(stills) - 128.0).std()
    assert deviation == pytest.approx(np.sqrt(NOISE_LEVELS**2 + 1 / 12), rel=0.01)
    assert noise_gain([np.zeros_like(one) for one in stills], stills) == 0


def test_a_cut_between_scenes_and_what_does_not_move_are_no_flicker() -> None:
    dark, light = np.zeros((8, 8, 3), np.uint8), np.full((8, 8, 3), 200, np.uint8)
    one, two = [dark, dark, dark, dark], [dark, dark, light, light]
    assert flicker(one, two) == pytest.approx(200 / 3)
    assert flicker(one, two, cuts=[2]) == 0
    assert flicker(one, [light] * 4) == 0

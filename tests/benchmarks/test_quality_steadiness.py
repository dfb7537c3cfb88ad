"""Flicker is what compression adds to motion, and noise gain what a model makes of a still scene."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.benchmarks.quality.motion.steadiness import (
    NOISE_LEVELS,
    Painters,
    consistencies,
    flicker,
    noise_gain,
    noisy_stills,
)
from stylepress.benchmarks.report import Consistency
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


@pytest.fixture(scope="module")
def rows(photo_folder: Path) -> dict[str, Consistency]:
    """A model that copies, one that halves the contrast, and one that flickers too."""
    painters: Painters = {
        model("teacher", "teacher"): lambda frame: frame,
        model("student", "student"): lambda frame: frame // np.uint8(2),
        model("bundle", "bundle"): Flickering(20),
    }
    photo = photo_folder / "hill.png"
    return {one.model: one for one in consistencies(photo, SIZE, 5, painters, progress=Silent())}


def test_a_model_that_flickers_is_less_steady_than_one_that_does_not(
    rows: dict[str, Consistency],
) -> None:
    assert rows["teacher"].warp_error == pytest.approx(rows["teacher"].input_warp_error)
    more = rows["bundle"].warp_error - rows["student"].warp_error
    assert more == pytest.approx((20 / 255) ** 2, rel=0.15)


def test_each_model_is_held_against_its_original(rows: dict[str, Consistency]) -> None:
    against = {name: one.reference for name, one in rows.items()}
    assert against == {"teacher": None, "student": "teacher", "bundle": "student"}
    assert rows["teacher"].flicker is None
    assert rows["bundle"].flicker == pytest.approx(20)


def test_the_noise_of_a_still_scene_is_told_of_every_model(rows: dict[str, Consistency]) -> None:
    assert rows["teacher"].noise_gain == pytest.approx(1)
    assert rows["student"].noise_gain == pytest.approx(0.5, rel=0.05)
    assert (rows["bundle"].noise_gain or 0) > 2


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

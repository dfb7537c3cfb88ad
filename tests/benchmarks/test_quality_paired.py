"""Two pictures: a cast is no blotch, and strokes that fall elsewhere are neither."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.quality.pixels import CAP_DB, colour_shifts, pair_scores

Pixels = NDArray[np.uint8]


def smooth(seed: int = 0, side: int = 176) -> Pixels:
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    image = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.asarray(np.clip(128 + 400 * image, 0, 255), np.uint8)


def test_equal_pictures_have_the_best_scores() -> None:
    scores = pair_scores(smooth(), smooth())
    assert scores["psnr_db"] == CAP_DB
    assert scores["ssim"] == pytest.approx(1)


def test_a_cast_shows_as_its_levels_everywhere_and_a_blotch_only_in_its_place() -> None:
    one = np.full((160, 176, 3), 100, np.uint8)
    cast, blotch = one.copy(), one.copy()
    cast[..., 2] -= 7
    blotch[21:85, 30:94, 0] += 30  # not on the grid: at least (60 / 64)^2 of it are seen
    assert colour_shifts(one, cast) == pytest.approx({"cast_levels": 7, "place_levels": 7})
    found = colour_shifts(one, blotch)
    assert found["cast_levels"] == pytest.approx(30 * 64**2 / (160 * 176))
    assert 30 * (60 / 64) ** 2 <= found["place_levels"] <= 30
    assert colour_shifts(one, one) == {"cast_levels": 0, "place_levels": 0}


def test_strokes_that_fall_elsewhere_keep_the_colour_of_a_place() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    moved = np.roll(stripes, 1, 1)
    assert pair_scores(stripes, moved)["psnr_db"] < 3
    assert colour_shifts(stripes, moved) == {"cast_levels": 0, "place_levels": 0}

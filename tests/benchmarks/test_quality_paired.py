"""Paired scores name the pictures that suffered, and MS-SSIM keeps to its formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage, stats  # type: ignore[import-untyped]

from stylepress.benchmarks.evidence.crops import Crops
from stylepress.benchmarks.quality.paired import (
    CAP_DB,
    PairScores,
    colour_shifts,
    pair_scores,
    paired,
)
from stylepress.benchmarks.quality.pixels import ssim, structures
from stylepress.benchmarks.quality.result import rank_correlation
from stylepress.errors import FrameError

Pixels = NDArray[np.uint8]


def smooth(seed: int = 0, side: int = 176) -> Pixels:
    noise = np.random.default_rng(seed).normal(size=(side, side, 3))
    image = ndimage.gaussian_filter(noise, (4, 4, 0))
    return np.asarray(np.clip(128 + 400 * image, 0, 255), np.uint8)


def test_equal_pictures_have_the_best_scores() -> None:
    scores = pair_scores(0, smooth(), smooth()).values
    assert (scores["psnr_db"], scores["levels"]) == (CAP_DB, 0)
    assert scores["ssim"] == pytest.approx(1)
    assert scores["ms_ssim"] == pytest.approx(1)


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
    assert set(colour_shifts(one[:63], cast[:63])) == {"cast_levels"}


def test_strokes_that_fall_elsewhere_keep_the_colour_of_a_place() -> None:
    stripes = np.zeros((128, 128, 3), np.uint8)
    stripes[:, ::2] = 200
    moved = np.roll(stripes, 1, 1)
    assert pair_scores(0, stripes, moved).values["psnr_db"] < 3
    assert colour_shifts(stripes, moved) == {"cast_levels": 0, "place_levels": 0}


def test_scores_that_need_more_pixels_are_left_out() -> None:
    assert set(pair_scores(0, smooth(side=64), smooth(1, 64)).values) == {
        "psnr_db",
        "levels",
        "cast_levels",
        "place_levels",
        "ssim",
    }
    tiny = np.zeros((8, 8, 3), np.uint8)
    assert set(pair_scores(0, tiny, tiny).values) == {"psnr_db", "levels", "cast_levels"}


def test_pictures_of_two_sizes_are_refused() -> None:
    with pytest.raises(FrameError, match="same frame"):
        pair_scores(3, smooth(side=64), smooth(side=65))


@given(one=st.floats(0.1, 1), two=st.floats(0.1, 1))
@settings(max_examples=8, deadline=None)
def test_ms_ssim_of_two_even_pictures_is_the_luminance_term_of_the_last_scale(
    one: float, two: float
) -> None:
    flat = np.ones((176, 176, 3))
    light = (2 * one * two + 1e-4) / (one**2 + two**2 + 1e-4)
    assert structures(one * flat, two * flat)[1] == pytest.approx(light**0.1333, abs=1e-6)


def test_ms_ssim_forgives_fine_noise_that_ssim_does_not() -> None:
    one = smooth() / 255
    noisy = one + np.random.default_rng(1).normal(0, 0.1, one.shape)
    single, several = structures(one, noisy)
    assert single == pytest.approx(ssim(one, noisy))
    assert several > single + 0.2


def test_ms_ssim_of_an_inverted_picture_is_zero_not_complex() -> None:
    one = smooth() / 255
    assert structures(one, 1 - one)[1] == 0


def test_ms_ssim_of_a_small_picture_is_refused() -> None:
    with pytest.raises(FrameError, match="176x176"):
        structures(np.zeros((175, 300, 3)), np.zeros((175, 300, 3)))


def test_the_worst_pictures_come_first_whichever_way_is_worse() -> None:
    scores = [PairScores(n, {"psnr_db": 30.0 + n, "lpips": n / 100}) for n in range(20)]
    psnr, lpips = paired(scores)
    assert [one.picture for one in psnr.worst[:3]] == [0, 1, 2]
    assert [one.picture for one in lpips.worst[:3]] == [19, 18, 17]
    assert len(psnr.worst) == 16
    assert psnr.p95 < psnr.mean < 50 > lpips.p95 > lpips.mean


def test_the_interval_of_a_mean_is_students_and_needs_three_pictures() -> None:
    values = np.random.default_rng(0).normal(40, 2, 200)
    scores = [PairScores(n, {"psnr_db": float(value)}) for n, value in enumerate(values)]
    for count in (3, 200):
        (one,) = paired(scores[:count])
        part = values[:count]
        error = part.std(ddof=1) / math.sqrt(count)
        expected = stats.t.interval(0.95, count - 1, part.mean(), error)
        assert (one.low, one.high) == pytest.approx(expected)
    (few,) = paired(scores[:2])
    assert (few.low, few.high, few.count) == (None, None, 2)


def test_the_bounds_of_a_mean_stay_where_the_measure_can_be() -> None:
    scores = [
        PairScores(n, {"ssim": value, "levels": 5 * n}) for n, value in enumerate((0.8, 1, 1))
    ]
    ssim_of, levels = paired(scores)
    assert (ssim_of.high, levels.low) == (1, 0)
    assert ssim_of.low is not None
    assert 0 < ssim_of.low < 0.8


def test_a_score_that_is_no_number_names_its_picture() -> None:
    with pytest.raises(FrameError, match="lpips of picture 7"):
        paired([PairScores(3, {"lpips": 0.1}), PairScores(7, {"lpips": math.nan})])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=12))
def test_rank_correlation_is_spearmans(values: list[int]) -> None:
    seen = rank_correlation(range(len(values)), values)
    if len(set(values)) == 1:
        assert math.isnan(seen)
    else:
        assert seen == pytest.approx(stats.spearmanr(range(len(values)), values)[0])


def test_crops_are_the_same_for_the_same_seed_and_cover_the_photos_in_turn() -> None:
    photos = [np.full((90, 120, 3), value, np.uint8) for value in (10, 200)]
    crops = Crops(photos, 6, (32, 48))
    assert [int(crop.mean()) for crop in crops] == [10, 200] * 3
    assert crops[0].shape == (32, 48, 3)
    one, other = (Crops([smooth()], 3, (32, 32), seed)[2] for seed in (0, 1))
    assert (one == Crops([smooth()], 3, (32, 32))[2]).all()
    assert (one != other).any()


def test_crops_of_nothing_are_refused() -> None:
    with pytest.raises(FrameError, match="at least one photo"):
        Crops([], 3)
    with pytest.raises(IndexError):
        Crops([smooth()], 3)[3]

"""The quality numbers obey their own mathematics."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage  # type: ignore[import-untyped]

from stylepress.benchmarks.quality.pixels import (
    LEVELS,
    PATCH,
    PROJECTIONS,
    content_distance,
    grid_energy,
    psnr_db,
    ssim,
    style_distance,
)
from stylepress.errors import FrameError

Array = NDArray[np.float64]
Measure = Callable[[Array, Array], float]


def texture(seed: int = 0, *, side: int = 96, blur: float = 1.0) -> Array:
    """Coloured noise in [0, 1] with contrast at every scale, as photos have it."""
    rng = np.random.default_rng(seed)
    image = sum(
        ndimage.gaussian_filter(rng.normal(size=(side, side, 3)), (s, s, 0)) * s
        for s in (blur, 2 * blur, 4 * blur, 8 * blur)
    )
    low, high = image.min(), image.max()
    return np.asarray((image - low) / (high - low), np.float64)


@pytest.mark.parametrize("distance", [style_distance, content_distance])
def test_a_picture_is_at_distance_zero_from_itself(distance: Measure) -> None:
    assert distance(texture(), texture()) == 0


@pytest.mark.parametrize("measure", [psnr_db, ssim, content_distance, style_distance])
def test_measures_are_symmetric(measure: Measure) -> None:
    assert measure(texture(1), texture(2)) == pytest.approx(measure(texture(2), texture(1)))


def test_style_distance_is_symmetric_between_pictures_of_two_sizes() -> None:
    one, two = texture(1, side=96), texture(2, side=140)
    assert style_distance(one, two) == pytest.approx(style_distance(two, one), rel=1e-6)


@given(shift=st.floats(0.001, 0.5))
@settings(max_examples=20, deadline=None)
def test_psnr_of_a_shift_is_its_closed_form(shift: float) -> None:
    image = np.full((16, 16, 3), 0.25)
    assert psnr_db(image, image + shift) == pytest.approx(-20 * math.log10(shift))


def test_psnr_of_equal_pictures_is_infinite() -> None:
    assert psnr_db(texture(), texture()) == math.inf


def test_ssim_of_equal_pictures_is_one() -> None:
    assert ssim(texture(), texture()) == pytest.approx(1)


@given(one=st.floats(0, 1), two=st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_ssim_of_two_even_pictures_is_the_luminance_term(one: float, two: float) -> None:
    flat = np.ones((16, 16, 3))
    expected = (2 * one * two + 1e-4) / (one**2 + two**2 + 1e-4)
    assert ssim(one * flat, two * flat) == pytest.approx(expected, abs=1e-9)


def test_ssim_of_independent_noise_is_near_zero_and_falls_with_noise() -> None:
    rng = np.random.default_rng(0)
    image, noise = rng.random((96, 96, 3)), rng.normal(size=(96, 96, 3))
    assert abs(ssim(image, rng.random((96, 96, 3)))) < 0.05
    steps = [ssim(image, image + level * noise) for level in (0.01, 0.05, 0.2)]
    assert steps == sorted(steps, reverse=True)


def test_style_distance_of_a_brightness_shift_is_proportional_to_it() -> None:
    """Each projection moves by shift * sum(weights), whatever the picture is."""
    image = texture()
    small, large = (style_distance(image, image + shift) for shift in (0.1, 0.3))
    assert large == pytest.approx(3 * small, rel=1e-4)


def test_style_distance_of_two_even_pictures_is_the_mean_projection_of_the_shift() -> None:
    expected = 0.0
    for level in range(LEVELS - 1):  # 96 pixels are 6 at the fifth level: too few for a patch
        weights = np.random.default_rng((0, level)).normal(size=(PATCH**2 * 3, PROJECTIONS))
        weights /= np.linalg.norm(weights, axis=0)
        expected += (1 + level / 4) * float(np.abs(0.2 * weights.sum(0)).mean())
    flat = np.full((96, 96, 3), 0.4)
    assert style_distance(flat, flat + 0.2) == pytest.approx(expected, rel=1e-4)


def test_style_distance_ignores_where_things_are() -> None:
    image, other = texture(1, side=160), texture(2, side=160, blur=3)
    moved = np.roll(image, (48, 64), axis=(0, 1))
    assert style_distance(image, moved) < 0.2 * style_distance(image, other)


def test_content_distance_ignores_palette_and_contrast() -> None:
    image = texture(1)
    dim = 0.2 + 0.5 * image
    assert content_distance(dim, image) < 0.05 * content_distance(texture(2), image)


def test_content_distance_of_unrelated_pictures_is_about_two() -> None:
    """The mean squared difference of two independent unit variables is 2."""
    rng = np.random.default_rng(0)
    one, two = rng.random((2, 256, 256, 3)).repeat(4, axis=1).repeat(4, axis=2)
    assert content_distance(one, two) == pytest.approx(2, rel=0.25)


def test_grid_energy_of_a_photo_like_picture_is_about_one() -> None:
    assert 0.7 < grid_energy(texture(side=192)) < 1.4


def test_grid_energy_of_white_noise_is_one() -> None:
    noise = np.random.default_rng(0).random((512, 512, 3))
    assert grid_energy(noise) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("kind", ["dots", "waves", "chessboard"])
def test_grid_energy_rises_with_the_grid(kind: str) -> None:
    image = texture(side=192)
    y, x = np.indices(image.shape[:2])
    pattern = {
        "dots": (x % 4 == 0) & (y % 4 == 0),
        "waves": np.cos(np.pi * x / 2) + np.cos(np.pi * y / 2),
        "chessboard": (x + y) % 2,
    }[kind]
    grids = [grid_energy(image + a / 255 * pattern[..., None]) for a in (0, 1, 2, 4, 8, 16)]
    assert grids == sorted(grids)
    assert grids[-1] > 5 * grids[0]


@pytest.mark.parametrize("block", [2, 4])
def test_grid_energy_does_not_rise_with_nearest_neighbour_blocks(block: int) -> None:
    image = texture(side=192)
    blocks = image[::block, ::block].repeat(block, 0).repeat(block, 1)
    assert grid_energy(blocks) < grid_energy(image)


def test_grid_energy_does_not_see_a_grid_of_another_period() -> None:
    image = texture(side=192)
    x = np.indices(image.shape[:2])[1]
    other = image + 8 / 255 * np.cos(2 * np.pi * x / 6.4)[..., None]
    assert grid_energy(other) < 1.2 * grid_energy(image)


def test_a_gray_plane_is_refused() -> None:
    with pytest.raises(FrameError, match=r"\(H, W, 3\)"):
        style_distance(np.zeros((64, 64)), texture())

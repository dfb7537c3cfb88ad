"""The camera's motion is exactly known, and the warping error is exact about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from stylepress.benchmarks.quality.motion.course import camera, motion, render, warp_error

SIZE = (96, 128)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    path = tmp_path_factory.mktemp("photo") / "noise.png"
    small.resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


def test_the_camera_never_leaves_the_photo(photo: Path) -> None:
    still, matrices = camera(photo, SIZE, 60)
    corners = np.array([[0, 0, 1], [SIZE[1], 0, 1], [0, SIZE[0], 1], [SIZE[1], SIZE[0], 1]])
    seen = np.einsum("tij,cj->tci", matrices, corners)
    assert seen.min() >= 0
    assert (seen.max((0, 1)) <= still.size).all()


def test_the_camera_moves_and_closes_its_loop(photo: Path) -> None:
    _, matrices = camera(photo, SIZE, 60)
    steps = np.abs(np.diff(matrices, axis=0, append=matrices[:1])).max((1, 2))
    assert steps.min() > 0.2
    assert steps.max() < 4


def test_motion_there_and_back_is_identity(photo: Path) -> None:
    _, (one, two) = camera(photo, SIZE, 2)
    there, back = motion(one, two), motion(two, one)
    whole = np.vstack([back, [0, 0, 1]]) @ np.vstack([there, [0, 0, 1]])
    assert np.allclose(whole, np.eye(3), atol=1e-9)


def test_an_integer_shift_of_one_picture_has_no_warping_error() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    frames = [picture[4:36, 4:52], picture[5:37, 7:55]]
    affines = np.array([[[1, 0, 4], [0, 1, 4]], [[1, 0, 7], [0, 1, 5]]], float)
    assert warp_error(frames, affines) == pytest.approx(0, abs=1e-12)


def test_a_change_of_brightness_is_the_squared_change(photo: Path) -> None:
    flat = np.full((32, 32, 3), 100, np.uint8)
    still = np.repeat(np.eye(2, 3)[None], 2, axis=0)
    assert warp_error([flat, flat + np.uint8(51)], still) == pytest.approx(0.04)


def test_the_true_motion_explains_the_frames_and_no_motion_does_not(photo: Path) -> None:
    still, matrices = camera(photo, SIZE, 24)
    frames = list(render(still, matrices, SIZE))
    standing = np.repeat(matrices[:1], 24, axis=0)
    assert warp_error(frames, matrices) < 0.05 * warp_error(frames, standing)


def test_flicker_raises_the_warping_error_by_its_variance(photo: Path) -> None:
    """Independent noise of deviation s on both frames adds 2 s^2 (less what bilinear averages)."""
    flat = np.full((8, 64, 64, 3), 128.0)
    noisy = flat + np.random.default_rng(0).normal(0, 10, flat.shape)
    error = warp_error([*np.rint(noisy).astype(np.uint8)], np.repeat(np.eye(2, 3)[None], 8, axis=0))
    assert error == pytest.approx(2 * (10 / 255) ** 2, rel=0.05)

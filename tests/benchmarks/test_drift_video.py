"""Flicker is measured along the source's motion, which oracle clips know exactly."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.drift.features.extractor import LpipsFact
from stylepress.benchmarks.drift.motion.flow import estimator
from stylepress.benchmarks.drift.motion.video import (
    Paced,
    estimated_clip,
    flicker,
    noise_gain,
    oracle_clip,
    video_drift,
    warp_errors,
)
from stylepress.benchmarks.drift.motion.warp import carried, exact_flow, visible
from stylepress.benchmarks.pictures.camera import camera, render, warp_error
from stylepress.errors import FrameError
from stylepress.progress import Silent

Pixels = NDArray[np.uint8]

SIZE = (48, 64)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = np.random.default_rng(0).integers(0, 256, (9, 12, 3), np.uint8)
    path = tmp_path_factory.mktemp("photo") / "hill.png"
    Image.fromarray(small).resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def clip(photo: Path) -> Paced:
    return oracle_clip(photo, SIZE, 5)


class Gap:
    """Stands for LPIPS."""

    fact = LpipsFact(net="alex", backbone_sha256="a", heads_sha256="b")

    def distance(self, one: Pixels, two: Pixels) -> float:
        return float(np.abs(one.astype(float) - two).mean()) / 255


def flickering(levels: int) -> object:
    """A model that makes every other frame lighter."""
    count = iter(range(10**6))

    def run(frame: Pixels) -> Pixels:
        return np.asarray(np.minimum(frame.astype(int) + levels * (next(count) % 2), 255), np.uint8)

    return run


def test_the_exact_flow_of_a_shift_is_the_shift() -> None:
    still = np.array([[1.0, 0, 0], [0, 1, 0]])
    moved = np.array([[1.0, 0, -3], [0, 1, 2]])
    flow = exact_flow(still, moved, SIZE)
    np.testing.assert_allclose(flow[..., 0], 3, atol=1e-5)
    np.testing.assert_allclose(flow[..., 1], -2, atol=1e-5)


def test_a_frame_carried_along_the_exact_flow_is_its_neighbour(clip: Paced) -> None:
    errors = list(warp_errors(clip.frames, clip))
    assert len(errors) == 4
    assert max(errors) < 1e-4


def test_warping_by_flow_agrees_with_warping_by_matrices(photo: Path, clip: Paced) -> None:
    still, matrices = camera(photo, SIZE, 300)
    frames = list(render(still, matrices[:5], SIZE))
    brighter = [
        np.minimum(f.astype(int) + 20 * n, 255).astype(np.uint8) for n, f in enumerate(frames)
    ]
    by_matrix = warp_error(brighter, matrices[:5])
    assert np.mean(list(warp_errors(brighter, clip))) == pytest.approx(by_matrix, rel=0.05)


def test_carrying_by_no_flow_changes_nothing_and_sees_all() -> None:
    frame = np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)
    there, inside = carried(frame, np.zeros((*SIZE, 2), np.float32))
    assert (there == frame).all()
    assert inside.all()


def test_what_is_not_led_back_to_is_hidden() -> None:
    forward = np.zeros((*SIZE, 2), np.float32)
    back = np.zeros((*SIZE, 2), np.float32)
    forward[:, 32:, 0], back[:, 40:, 0] = 6, -6
    mask = visible(forward, back)
    assert mask[:, 2:28].all()
    assert mask[:, 46:62].all()
    assert not mask[:, 33:37].any()  # from here the earlier frame's pixels have gone


def test_a_model_that_flickers_drifts_and_one_that_does_not_does_not(clip: Paced) -> None:
    def same(frame: Pixels) -> Pixels:
        return frame

    steady = video_drift(
        ("a", same), ("b", same), [clip], lpips="none", still=None, progress=Silent()
    )
    assert (steady.warp_drift.value, steady.flicker) == (0, 0)
    assert "tLP" in {one.what for one in steady.skipped}
    wild = video_drift(
        ("a", same),
        ("b", flickering(20)),  # type: ignore[arg-type]
        [clip],
        lpips=Gap(),
        still=None,
        progress=Silent(),
    )
    assert wild.warp_drift.value == pytest.approx((20 / 255) ** 2, rel=0.1)
    assert wild.flicker == pytest.approx(20, rel=0.05)
    assert wild.clips[0].tlp == pytest.approx(100 * 20 / 255, rel=0.3)
    assert wild.warp_drift.low is None


def test_six_clips_give_an_interval(clip: Paced) -> None:
    made = video_drift(
        ("a", lambda f: f),
        ("b", lambda f: 255 - f),
        [clip] * 6,
        lpips="none",
        still=None,
        progress=Silent(),
    )
    assert made.warp_drift.low == pytest.approx(made.warp_drift.value)


def test_what_does_not_move_is_no_flicker(clip: Paced) -> None:
    lighter = [np.minimum(frame.astype(int) + 9, 255).astype(np.uint8) for frame in clip.frames]
    assert flicker(clip.frames, lighter) < 0.2


def test_the_gain_of_a_model_that_halves_contrast_is_a_half() -> None:
    grey = np.full((24, 24, 3), 128, np.uint8)
    assert noise_gain(lambda f: f, grey) == 1
    half = noise_gain(lambda f: np.rint(64 + f / 2).astype(np.uint8), grey, levels=20)
    assert half == pytest.approx(0.5, rel=0.02)
    assert noise_gain(lambda f: np.zeros_like(f), grey) == 0


def test_noise_that_changes_nothing_has_no_gain() -> None:
    with pytest.raises(FrameError, match="underexposed"):
        noise_gain(lambda f: f, np.zeros((8, 8, 3), np.uint8), levels=0.01)


def test_clips_without_motion_or_none_at_all_are_refused(photo: Path) -> None:
    with pytest.raises(FrameError, match="at least two"):
        oracle_clip(photo, SIZE, 1)
    with pytest.raises(FrameError, match="at least one"):
        video_drift(
            ("a", lambda f: f), ("b", lambda f: f), [], lpips="", still=None, progress=Silent()
        )


def test_without_opencv_the_reason_is_told() -> None:
    if importlib.util.find_spec("cv2") is not None:
        pytest.skip("OpenCV is installed here")
    found = estimator()
    assert isinstance(found, str)
    assert "pip install" in found


def test_estimated_flow_follows_the_exact_one_where_opencv_is_installed(clip: Paced) -> None:
    found = estimator()
    if isinstance(found, str):
        pytest.skip(found)
    guessed = estimated_clip("hill", clip.frames, found)
    inner: Sequence[slice] = (slice(8, -8), slice(8, -8))
    gap = guessed.flows[0][tuple(inner)] - clip.flows[0][tuple(inner)]
    assert np.abs(gap).mean() < 0.5

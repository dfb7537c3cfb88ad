"""A clip shows what its truth says, and the warping error is exact about it."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from stylepress.benchmarks.quality.motion.camera import warp_error
from stylepress.benchmarks.quality.motion.clip import Clip, chord, make_clip
from stylepress.errors import FrameError

SIZE = (96, 128)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8))
    path = tmp_path_factory.mktemp("photo") / "noise.png"
    small.resize((160, 120), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture(scope="module")
def clip(photo: Path, tmp_path_factory: pytest.TempPathFactory) -> Clip:
    out = tmp_path_factory.mktemp("clip") / "loop.mp4"
    return make_clip([photo, photo], out, seconds=1, size=SIZE, fps=20)


def frames_of(path: Path) -> list[NDArray[np.uint8]]:
    with av.open(str(path)) as container:
        return [
            np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
            for frame in container.decode(video=0)
        ]


def test_a_clip_has_the_frames_rate_size_and_sound_asked_for(clip: Clip) -> None:
    with av.open(str(clip.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert (video.height, video.width) == SIZE
        assert video.average_rate == 20
        assert sum(frame.samples for frame in container.decode(audio=0)) >= 48_000
    assert len(frames_of(clip.path)) == 20


def test_a_clip_without_sound_has_no_audio_stream(photo: Path, tmp_path: Path) -> None:
    silent = make_clip([photo], tmp_path / "a.mp4", seconds=0.2, size=SIZE, sound=False)
    with av.open(str(silent.path)) as container:
        assert not container.streams.audio


def test_the_truth_explains_the_encoded_clip_but_not_across_its_cut(clip: Clip) -> None:
    frames = frames_of(clip.path)
    inside = warp_error(frames[: clip.cuts[0]], clip.affines[: clip.cuts[0]])
    assert inside < 1e-3


def test_the_chord_is_audible_and_never_clips() -> None:
    tone = chord(2)
    assert tone.shape == (2, 96_000)
    assert 0.2 < np.abs(tone).max() <= 1


@pytest.mark.parametrize("size", [(95, 128), (8, 8)])
def test_sizes_that_h264_cannot_hold_are_refused(
    photo: Path, tmp_path: Path, size: tuple[int, int]
) -> None:
    with pytest.raises(FrameError, match="even size"):
        make_clip([photo], tmp_path / "a.mp4", size=size)


def test_a_file_that_is_no_photo_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"not a photo")
    with pytest.raises(FrameError, match=r"bad\.jpg"):
        make_clip([bad], tmp_path / "a.mp4", size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.jpg"]

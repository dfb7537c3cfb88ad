"""From video file to video file: order, times, sound and colours are kept."""

from __future__ import annotations

import random
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame

from stylepress.picture import Pixels
from stylepress.runtime.media.encoder import Quality
from stylepress.runtime.media.video import VideoOptions
from tests.runtime.clips import (
    Heard,
    Plain,
    fifty_frames,
    gray,
    levels,
    play,
    run,
    write_clip,
)


@pytest.fixture
def fifty(tmp_path: Path) -> Path:
    """Two seconds, 50 frames, with sound."""
    return fifty_frames(tmp_path)


def test_frames_stay_in_order_when_the_lanes_take_turns_at_random(
    fifty: Path, tmp_path: Path
) -> None:
    engine, chance = Plain(lanes=4), random.Random(0)
    engine.delay = lambda number: time.sleep(chance.random() / 50)  # type: ignore[method-assign]
    summary = run(fifty, tmp_path / "out.mp4", engine)
    assert np.allclose(play(tmp_path / "out.mp4").levels, levels(50), atol=2)
    assert (summary.frames, summary.stopped, summary.warnings) == (50, False, ())
    assert {"decode", "to rgb", "stylize", "to yuv", "encode"} <= set(summary.stages_s)
    assert 0 < summary.busy <= 1.1
    assert summary.fps > 0


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov"])
def test_sound_is_copied_bit_for_bit(suffix: str, fifty: Path, tmp_path: Path) -> None:
    run(fifty, tmp_path / f"out{suffix}")
    before, after = play(fifty), play(tmp_path / f"out{suffix}")
    assert [data for _, data in before.sound] == [data for _, data in after.sound]
    # Matroska counts in milliseconds and not below 0: there all moves by the codec's lead-in.
    shift = after.times[0] - before.times[0]
    atol, most = (0.001, 0.022) if suffix == ".mkv" else (1e-9, 0.0)
    assert 0 <= shift <= most
    moved = [at + shift for at, _ in before.sound]
    assert np.allclose(moved, [at for at, _ in after.sound], rtol=0, atol=atol)


def test_sound_that_does_not_fit_is_encoded_again_and_told(fifty: Path, tmp_path: Path) -> None:
    summary = run(fifty, tmp_path / "out.webm")
    assert "audio stream 1 (aac) does not fit" in summary.warnings[0]
    with av.open(str(tmp_path / "out.webm")) as container:
        names = [stream.codec_context.name for stream in container.streams]
        assert names == ["vp9", "opus"] or names == ["libvpx-vp9", "opus"]
        samples = sum(frame.samples for frame in container.decode(audio=0))
    assert abs(samples / 48_000 - 2.0) < 0.1
    assert np.allclose(play(tmp_path / "out.webm").levels, levels(50), atol=3)


@pytest.mark.parametrize("source", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("target", [".mp4", ".mkv", ".webm"])
def test_uneven_times_are_kept(source: str, target: str, tmp_path: Path) -> None:
    times = [0, 40, 47, 300, 301, 302, 900, 1700]
    codec = "libvpx-vp9" if source == ".webm" else "libx264"
    path = write_clip(
        tmp_path / f"in{source}", [gray(level) for level in levels(8)], times=times, codec=codec
    )
    run(path, tmp_path / f"out{target}")
    assert play(path).times == pytest.approx([at / 1000 for at in times], abs=1e-9)
    assert play(tmp_path / f"out{target}").times == pytest.approx(play(path).times, abs=1e-9)


@pytest.mark.parametrize("suffix", [".mp4", ".mov"])
def test_the_last_frame_is_inside_the_length_that_the_container_states(
    suffix: str, tmp_path: Path
) -> None:
    times = [0, 100, 150, 450, 550]
    path = write_clip(tmp_path / "in.mkv", [gray(level) for level in levels(5)], times=times)
    run(path, tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert container.duration is not None
        assert stream.time_base is not None
        assert container.duration / av.time_base == pytest.approx(0.59, abs=0.06)
        assert float(stream.duration * stream.time_base) == pytest.approx(0.59, abs=0.06)


@pytest.mark.parametrize("suffix", [".mov", ".avi"])
def test_raw_sound_becomes_aac_in_mp4_because_players_expect_it(
    suffix: str, tmp_path: Path
) -> None:
    path = tmp_path / f"in{suffix}"
    write_clip(path, [gray(60)] * 9, sound="pcm_s16le", codec="mpeg4")
    assert run(path, tmp_path / "out.mkv").warnings == ()
    assert "was encoded" in run(path, tmp_path / "out.mp4").warnings[0]
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.audio[0].codec_context.name == "aac"


def test_the_clock_of_the_input_is_kept_to_the_tick(tmp_path: Path) -> None:
    rate = Fraction(30000, 1001)

    def film_rate(stream: av.VideoStream) -> None:
        stream.time_base = stream.codec_context.time_base = 1 / rate
        stream.codec_context.framerate = rate

    path = tmp_path / "in.mp4"
    write_clip(path, [gray(50)] * 9, times=range(0, 300, 34)[:9], setup=film_rate)
    run(path, tmp_path / "out.mp4")
    assert play(tmp_path / "out.mp4").times == play(path).times


@pytest.mark.parametrize("angle", [90, 180, -90])
def test_a_rotated_video_comes_out_upright_with_no_rotation_left(
    angle: int, tmp_path: Path
) -> None:
    scene = gray(30)
    scene[:24, :32] = 220
    path = write_clip(
        tmp_path / "in.mp4", [scene] * 3, setup=lambda stream: stream.set_display_rotation(angle)
    )
    run(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert {frame.rotation for frame in container.decode(video=0)} == {0}
    upright, seen = np.rot90(scene, angle // 90), play(tmp_path / "out.mp4").pictures[0]
    assert seen.shape == upright.shape
    assert np.abs(seen.astype(int) - upright).mean() < 3


@pytest.mark.parametrize("matrix", [6, 1])
@pytest.mark.parametrize("full", [False, True])
def test_colours_survive_and_the_output_says_bt709(matrix: int, full: bool, tmp_path: Path) -> None:
    grid = [(r, g, b) for r in (20, 120, 235) for g in (20, 120, 235) for b in (20, 120, 235)]
    bars = np.array(grid, np.uint8).reshape(3, 9, 3).repeat(16, 0).repeat(16, 1)

    def name_it(stream: av.VideoStream) -> None:
        context = stream.codec_context
        context.colorspace, context.color_range = matrix, 2 if full else 1
        context.options = {"crf": "4"}

    def as_frame(picture: Pixels) -> VideoFrame:
        return VideoFrame.from_ndarray(picture, format="rgb24").reformat(
            format="yuv444p",
            src_color_range=2,
            dst_color_range=2 if full else 1,
            dst_colorspace={6: 5, 1: 1}[matrix],
        )

    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as written:
        stream = written.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.codec_context.height, stream.codec_context.width = bars.shape[:2]
        stream.codec_context.pix_fmt = "yuv444p"
        name_it(stream)
        for _ in range(3):
            written.mux(stream.encode(as_frame(bars)))
        written.mux(stream.encode(None))
    run(path, tmp_path / "out.mp4", options=VideoOptions(Quality(crf=4)))
    middle = slice(8, None, 16)
    for shown in play(tmp_path / "out.mp4").pictures:
        assert np.abs(shown[middle, middle].astype(int) - bars[middle, middle]).max() <= 3
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.color_range) == ("yuv420p", 1)
        assert {context.colorspace, context.color_primaries, context.color_trc} == {1}


def test_odd_sides_are_made_even_by_repeating_the_last_row_and_column(tmp_path: Path) -> None:
    ramp = np.tile(np.arange(63, dtype=np.uint8)[None, :, None] * 3 + 20, (47, 1, 3))
    path = write_clip(tmp_path / "in.mkv", [ramp] * 2, codec="ffv1", kind="yuv444p")
    summary = run(path, tmp_path / "out.mp4", options=VideoOptions(Quality(crf=8)))
    seen = play(tmp_path / "out.mp4").pictures[0]
    assert seen.shape == (48, 64, 3)
    assert np.abs(seen[:47, :63].astype(int) - ramp).max() <= 8
    assert "63x47 pixels became 64x48" in summary.warnings[0]


def test_pixel_shape_and_title_are_kept(tmp_path: Path) -> None:
    def wide(stream: av.VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_rotation(90)

    path = write_clip(tmp_path / "in.mp4", [gray(90)] * 2, setup=wide)
    run(path, tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)
        assert container.metadata["title"] == "a walk"


def test_frames_of_another_size_are_scaled_to_the_first(tmp_path: Path) -> None:
    both = b""
    for height in (48, 96):
        part = tmp_path / f"{height}.h264"
        write_clip(part, [gray(100, (height, 64))] * 5)
        both += part.read_bytes()
    (tmp_path / "in.h264").write_bytes(both)
    summary = run(tmp_path / "in.h264", tmp_path / "out.mp4")
    seen = play(tmp_path / "out.mp4")
    assert [picture.shape for picture in seen.pictures] == [(48, 64, 3)] * 10
    assert np.allclose(seen.levels, 100, atol=2)
    assert any("5 frames were of another size" in warning for warning in summary.warnings)


def test_progress_counts_every_frame_and_guesses_the_time_left(fifty: Path, tmp_path: Path) -> None:
    engine, heard = Plain(), Heard()
    engine.delay = lambda number: time.sleep(0.02)  # type: ignore[method-assign]
    run(fifty, tmp_path / "out.mp4", engine, progress=heard)
    assert (heard.total, heard.steps) == (50, 50)
    assert "frames/s, 0:0" in heard.notes[0]

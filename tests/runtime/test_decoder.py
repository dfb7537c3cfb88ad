"""Frames come out of any video upright, in the right colours, at the right time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from stylepress.errors import FrameError
from stylepress.picture import Pixels
from stylepress.runtime.media.colour import HDR_CURVES, to_rgb
from stylepress.runtime.media.decoder import Reader, Shot
from stylepress.runtime.media.lanes import Stages
from stylepress.runtime.media.streams import opened
from stylepress.runtime.media.upright import RIGHT, Upright

# Luma weights of red and blue: BT.601, BT.709, BT.2020, by their number in ITU-T H.273.
WEIGHTS = {6: (0.299, 0.114), 1: (0.2126, 0.0722), 9: (0.2627, 0.0593)}
MPEG, JPEG = 1, 2
COLOURS = np.array(
    [(r, g, b) for r in (0, 90, 255) for g in (0, 140, 255) for b in (0, 60, 255)], np.uint8
)


@pytest.fixture
def bars() -> Pixels:
    """Patches of 27 colours, (24, 72, 3): each is 8x8, so that chroma has no neighbour to mix."""
    return COLOURS.reshape(3, 9, 3).repeat(8, 0).repeat(8, 1)


def yuv(pixels: Pixels, matrix: int, *, full: bool, bits: int) -> tuple[NDArray[np.uint16], ...]:
    """Compute Y, Cb and Cr of every pixel by the formulas of H.273, in codes of so many bits."""
    red, green, blue = (pixels[..., channel] / 255 for channel in range(3))
    kr, kb = WEIGHTS[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = ((blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr))
    unit = 1 << (bits - 8)
    if full:
        levels = [luma * (256 * unit - 1), *(c * (256 * unit - 1) + 128 * unit for c in chroma)]
    else:
        levels = [(luma * 219 + 16) * unit, *((c * 224 + 128) * unit for c in chroma)]
    return tuple(np.rint(plane).clip(0, 256 * unit - 1).astype(np.uint16) for plane in levels)


def raw_frame(pixels: Pixels, kind: str, matrix: int, *, full: bool) -> VideoFrame:
    """Build a YUV frame plane by plane, with no help of a converter."""
    height, width = pixels.shape[:2]
    frame = VideoFrame(width, height, kind)
    bits = frame.format.components[0].bits
    dtype = np.uint8 if bits == 8 else np.uint16
    luma, *chroma = yuv(pixels, matrix, full=full, bits=bits)
    step = (2 if "420" in kind else 1, 1 if "444" in kind else 2)
    planes = [luma, *(plane[:: step[0], :: step[1]] for plane in chroma)]
    for plane, values in zip(frame.planes, planes, strict=True):
        rows = np.zeros((plane.height, plane.line_size // dtype().itemsize), dtype)
        rows[:, : plane.width] = values
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = matrix, JPEG if full else MPEG
    return frame


@pytest.mark.parametrize("matrix", WEIGHTS)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p12le"])
def test_every_matrix_range_and_depth_gives_the_colours_it_was_made_from(
    kind: str, full: bool, matrix: int, bars: Pixels
) -> None:
    seen = to_rgb(raw_frame(bars, kind, matrix, full=full), width=72, height=24)
    error = seen[4::8, 4::8].astype(int) - bars[4::8, 4::8]
    assert np.abs(error).max() <= 2
    assert abs(error.mean()) < 0.4


@pytest.mark.parametrize(("height", "matrix"), [(576, 6), (720, 1)])
def test_an_unnamed_matrix_is_that_of_the_frame_size(height: int, matrix: int) -> None:
    pixels = np.full((height, 64, 3), (200, 40, 90), np.uint8)
    frame = raw_frame(pixels, "yuv420p", matrix, full=False)
    frame.colorspace, frame.color_range = 2, 0
    assert np.abs(to_rgb(frame, width=64, height=height).astype(int) - pixels).max() <= 2


@pytest.mark.parametrize("kind", ["rgb24", "bgra", "gbrp", "rgb48le", "gray"])
def test_rgb_and_gray_pass_unchanged(kind: str, bars: Pixels) -> None:
    gray = bars[..., 1:2].repeat(3, 2)
    pixels = gray if kind == "gray" else bars
    frame = VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=kind)
    assert np.abs(to_rgb(frame, width=72, height=24).astype(int) - pixels).max() <= 1


def test_a_frame_of_another_size_is_scaled() -> None:
    frame = raw_frame(np.full((24, 32, 3), 99, np.uint8), "yuv420p", 1, full=False)
    seen = to_rgb(frame, width=50, height=10)
    assert seen.shape == (10, 50, 3)
    assert np.abs(seen.astype(int) - 99).max() <= 1


SCENE = np.zeros((32, 48, 3), np.uint8)
SCENE[:16, :24], SCENE[:16, 24:], SCENE[16:, :24] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
# libx265 corrupts memory when it encodes less than its 64x64 blocks, and now and then hands out a
# header that no muxer takes, so its files here are bare streams.
LARGE = SCENE.repeat(3, 0).repeat(3, 1)
# What a player shows of a file with that rotation (counter-clockwise) and these flips after it.
TURNED: dict[tuple[int, bool, bool], Callable[[Pixels], Pixels]] = {
    (0, False, False): lambda scene: scene,
    (90, False, False): np.rot90,
    (180, False, False): lambda scene: np.rot90(scene, 2),
    (-90, False, False): lambda scene: np.rot90(scene, -1),
    (0, True, False): lambda scene: scene[:, ::-1],
    (0, False, True): lambda scene: scene[::-1],
    (90, True, False): lambda scene: np.rot90(scene)[:, ::-1],
    (-90, True, False): lambda scene: np.rot90(scene, -1)[:, ::-1],
}


def write_clip(
    path: Path,
    pictures: list[Pixels],
    *,
    codec: str = "libx264",
    kind: str = "yuv420p",
    turn: tuple[int, bool, bool] | None = None,
    curve: int | None = None,
) -> Path:
    """Write pictures at 25 a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.height, context.width = pictures[0].shape[:2]
        context.pix_fmt = kind
        if codec == "libx265":
            context.options = {"x265-params": "log-level=none"}
        if curve:
            context.color_trc, context.color_primaries, context.colorspace = curve, 9, 9
        if turn:
            stream.set_display_rotation(turn[0], hflip=turn[1], vflip=turn[2])
        for picture in pictures:
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def read(path: Path) -> tuple[list[Shot], list[str]]:
    """Read all shots of a clip, and what was found wrong with it."""
    with opened(path) as clip:
        reader = Reader(clip, stop=threading.Event(), stages=Stages(lambda: 0.0))
        return [item for item in reader if not isinstance(item, Packet)], reader.findings()


@pytest.mark.parametrize("turn", TURNED)
def test_a_rotated_video_is_turned_upright(turn: tuple[int, bool, bool], tmp_path: Path) -> None:
    shots, _ = read(write_clip(tmp_path / "in.mp4", [SCENE] * 3, turn=turn))
    upright = TURNED[turn](SCENE)
    height, width = upright.shape[:2]
    for shot in shots:
        assert (shot.frame.height, shot.frame.width) == (height, width)
        seen = to_rgb(shot.frame, width=width, height=height)
        for row, column in ((6, 6), (6, -6), (-6, 6), (-6, -6)):
            assert np.abs(seen[row, column].astype(int) - upright[row, column]).max() <= 25


@pytest.mark.parametrize(
    ("codec", "kind", "suffix"),
    [
        ("libx265", "yuv420p10le", ".hevc"),
        ("ffv1", "yuv422p10le", ".mkv"),
        ("prores_ks", "yuv422p10le", ".mov"),
        ("mjpeg", "yuvj420p", ".avi"),
        ("libvpx-vp9", "yuv444p", ".webm"),
    ],
)
def test_ten_bits_and_other_codecs_are_read(
    codec: str, kind: str, suffix: str, tmp_path: Path
) -> None:
    path = write_clip(tmp_path / f"in{suffix}", [LARGE] * 2, codec=codec, kind=kind)
    shots, _ = read(path)
    seen = to_rgb(shots[-1].frame, width=144, height=96)
    assert np.abs(seen[24, 24].astype(int) - LARGE[24, 24]).max() <= 6
    assert np.abs(seen[72, 24].astype(int) - LARGE[72, 24]).max() <= 6


def test_a_turned_ten_bit_frame_keeps_its_depth_and_matrix() -> None:
    frame = raw_frame(SCENE, "yuv420p10le", 1, full=False)
    frame.pts, frame.time_base = 7, Fraction(1, 25)
    upright = Upright()
    upright.turn = lambda frame: RIGHT  # type: ignore[method-assign]
    (turned,) = upright(frame)
    assert (turned.format.name, turned.colorspace, turned.pts) == ("yuv420p10le", 1, 7)
    seen = to_rgb(turned, width=32, height=48)
    assert np.abs(seen.astype(int) - np.rot90(SCENE, -1)).max() <= 2


def test_an_hdr_curve_is_told(tmp_path: Path) -> None:
    path = tmp_path / "in.hevc"
    write_clip(path, [LARGE] * 2, codec="libx265", kind="yuv420p10le", curve=16)
    _, findings = read(path)
    assert any(HDR_CURVES[16] in finding for finding in findings)


def test_one_time_far_ahead_in_a_broadcast_moves_no_other(tmp_path: Path) -> None:
    with opened(write_clip(tmp_path / "in.ts", [SCENE] * 9)) as clip:
        reader = Reader(clip, stop=threading.Event(), stages=Stages(lambda: 0.0))
        frames = list(clip.container.decode(clip.pictures))
        assert frames[4].pts is not None
        frames[4].pts += 90_000 * 20_000
        reader._items = lambda: iter(frames)  # type: ignore[method-assign]
        times = [shot.pts for shot in reader if isinstance(shot, Shot)]
        assert any("1 frames had times" in finding for finding in reader.findings())
    assert times == [3600 * number for number in range(9)]


def test_times_that_run_backwards_are_put_in_order(tmp_path: Path) -> None:
    with opened(write_clip(tmp_path / "in.mp4", [SCENE] * 3)) as clip:
        reader = Reader(clip, stop=threading.Event(), stages=Stages(lambda: 0.0))
        frames = list(clip.container.decode(clip.pictures))
        for frame, pts in zip(frames, (5000, 900, None), strict=True):
            frame.pts = pts
        reader._items = lambda: iter(frames)  # type: ignore[method-assign]
        times = [shot.pts for shot in reader if isinstance(shot, Shot)]
        assert any("run backwards" in finding for finding in reader.findings())
    assert times == [0, 512, 1024]


@pytest.fixture
def sound_only(tmp_path: Path) -> Path:
    """An m4a file with a second of silence."""
    path = tmp_path / "sound.m4a"
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("aac", rate=48000)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 48000), np.float32), format="fltp")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_sound_alone_is_no_video(sound_only: Path) -> None:
    with pytest.raises(FrameError, match=r"no video stream, only audio\. "), opened(sound_only):
        pass


def broken_files(folder: Path) -> Iterator[Path]:
    """Write files that are no video, each in its own way."""
    whole = write_clip(folder / "whole.mp4", [SCENE] * 5).read_bytes()
    contents = {
        "notes.txt": b"hello\n" * 500,
        "empty.mp4": b"",
        "noise.mp4": bytes(np.random.default_rng(0).integers(0, 256, 4000, np.uint8)),
        "no-index.mp4": whole[: len(whole) // 2],
        "list.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nwhole.mp4\n#EXT-X-ENDLIST\n",
        "list.mp4": b"ffconcat version 1.0\nfile whole.mp4\n",
    }
    for name, data in contents.items():
        (folder / name).write_bytes(data)
        yield folder / name
    yield folder
    yield folder / "missing.mp4"


def test_what_is_no_video_is_a_frame_error_and_playlists_are_none(tmp_path: Path) -> None:
    for path in broken_files(tmp_path):
        with pytest.raises(FrameError, match=path.name), opened(path):
            pass


def test_the_size_is_limited_before_a_frame_is_decoded(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "in.mp4", [SCENE])
    with pytest.raises(FrameError, match="48x32"), opened(path, limit_pixels=48 * 32 - 1):
        pass
    with opened(path, limit_pixels=48 * 32) as clip:
        assert clip.frames == 1


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi"])
def test_a_whole_clip_gives_no_findings_whenever_it_begins(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"in{suffix}"
    late = 0 if suffix == ".avi" else 5000
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.codec_context.height, stream.codec_context.width = SCENE.shape[:2]
        for number in range(50):
            frame = VideoFrame.from_ndarray(SCENE, format="rgb24")
            frame.pts, frame.time_base = late + 40 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    shots, findings = read(path)
    assert (len(shots), findings) == (50, [])

"""Colours of other gamuts and curves come out as BT.709 shows them; frames come out whole."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from stylepress.picture import Pixels
from stylepress.runtime.media.colour import (
    eetf,
    gamut_matrix,
    hlg_light,
    pq_codes,
    pq_light,
    to_rgb,
)
from stylepress.runtime.media.encoder import Quality
from stylepress.runtime.media.video import VideoOptions
from tests.runtime.clips import play, run

CASES = Path(__file__).parent / "cases"
FINE = VideoOptions(Quality(crf=4))
BT709, BT601, BT2020, P3, PQ, HLG = 1, 6, 9, 12, 16, 18
WEIGHTS = {BT601: (0.299, 0.114), BT709: (0.2126, 0.0722), BT2020: (0.2627, 0.0593)}
# BT.2407, 2.2: linear RGB of BT.709 from that of BT.2020, to four digits.
FROM_2020 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]]
)


def yuv_frame(
    codes: NDArray[np.float64], matrix: int, *, curve: int, primaries: int, size: int = 16
) -> av.VideoFrame:
    """Build a 10-bit 4:2:0 frame of R'G'B' codes 0..1, (N, 3), a square for each."""
    kr, kb = WEIGHTS[matrix]
    luma = codes @ [kr, 1 - kr - kb, kb]
    blue, red = (codes[:, 2] - luma) / (2 - 2 * kb), (codes[:, 0] - luma) / (2 - 2 * kr)
    rows = [luma * 876 + 64, blue * 896 + 512, red * 896 + 512]
    frame = av.VideoFrame(size * len(codes), size, "yuv420p10le")
    for plane, row in zip(frame.planes, rows, strict=True):
        wide = np.rint(row).astype(np.uint16).repeat(plane.width // len(codes))
        lines = np.zeros((plane.height, plane.line_size // 2), np.uint16)
        lines[:, : plane.width] = wide
        plane.update(lines.tobytes())
    frame.colorspace, frame.color_range = matrix, 1
    frame.color_primaries, frame.color_trc = primaries, curve
    return frame


def squares(frame: av.VideoFrame) -> NDArray[np.float64]:
    """The colour in the middle of each square, (N, 3)."""
    shown = to_rgb(frame, width=frame.width, height=frame.height)
    return shown[8, 8::16].astype(np.float64)


COLOURS = np.array(
    [(r, g, b) for r in (0.1, 0.5, 0.9) for g in (0.1, 0.5, 0.9) for b in (0.1, 0.5, 0.9)]
)


def test_bt2020_is_converted_by_its_primaries() -> None:
    assert np.allclose(gamut_matrix(BT2020), FROM_2020, atol=1e-4)
    inside = COLOURS**2.4 @ FROM_2020.T
    expected = 255 * inside.clip(0, 1) ** (1 / 2.4)
    shown = squares(yuv_frame(COLOURS, BT2020, curve=14, primaries=BT2020))
    assert np.abs(shown - expected).max() <= 2


def test_what_bt709_holds_survives_the_way_through_bt2020_and_p3() -> None:
    for primaries in (BT2020, P3):
        codes = (COLOURS**2.4 @ np.linalg.inv(gamut_matrix(primaries)).T).clip(0, 1) ** (1 / 2.4)
        shown = squares(yuv_frame(codes, BT2020, curve=14, primaries=primaries))
        assert np.abs(shown - 255 * COLOURS).max() <= 3  # rounded twice, to 10 bits first


def test_pq_is_the_curve_of_bt2100() -> None:
    # BT.2408, table 1: 203 cd/m2 is at 58 %, 1000 at 75 %, 26 (18 % grey) at 38 %.
    assert np.allclose(pq_codes(np.array([203.0, 1000, 26])), [0.58, 0.75, 0.38], atol=3e-3)
    codes = np.linspace(0, 1, 999)[1:]
    assert np.allclose(pq_codes(pq_light(codes)), codes, atol=1e-9)


def test_hlg_is_the_curve_of_bt2100() -> None:
    # BT.2408, table 1: reference white is at 75 %, 18 % grey at 38 %, on a display of 1000 cd/m2.
    display = 1000 * hlg_light(np.array([0.75, 0.38, 1])) ** 1.2
    assert np.allclose(display, [203, 26, 1000], rtol=0.02)


@pytest.mark.parametrize("peak", [400.0, 1000.0, 4000.0])
def test_tone_mapping_leaves_the_dark_alone_and_ends_at_white(peak: float) -> None:
    light = np.linspace(0, peak, 2000)
    mapped = eetf(light, peak, 203)
    assert np.all(np.diff(mapped) >= -1e-9)
    assert mapped[-1] == pytest.approx(203, rel=1e-6)
    assert np.allclose(mapped[light < 38], light[light < 38], rtol=1e-6)
    assert np.all(mapped <= light + 1e-6)


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_grey_of_an_hdr_video_is_where_an_sdr_camera_puts_it(curve: int) -> None:
    # BT.2408, table 1: 18 % grey is at 38 % of PQ and HLG, and at 42.5 % of SDR; black stays.
    grey = np.array([[0.0] * 3, [0.38] * 3])
    shown = squares(yuv_frame(grey, BT2020, curve=curve, primaries=BT2020))
    assert np.abs(shown[0]).max() <= 1
    assert np.allclose(shown[1], 0.425 * 255, atol=4)
    assert np.ptp(shown[1]) <= 1


@pytest.mark.parametrize("curve", [PQ, HLG])
def test_hdr_keeps_order_and_hue_up_to_its_peak(curve: int) -> None:
    top = 0.7518 if curve == PQ else 1.0
    grey = np.linspace(0, top, 24)[:, None].repeat(3, 1)
    shown = squares(yuv_frame(grey, BT2020, curve=curve, primaries=BT2020))
    assert np.all(np.diff(shown, axis=0) >= 0)
    assert shown[-1].min() >= 253
    skin = np.array([[0.5, 0.42, 0.38]]) * [[1.0]]
    red, green, blue = squares(yuv_frame(skin, BT2020, curve=curve, primaries=BT2020))[0]
    assert red > green > blue


MASTERED = "master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(40000000,50)"


def write_pq(path: Path, more: str = "") -> Path:
    """Write 18 % grey beside the white of a page, as HDR10."""
    codes = np.array([[0.38] * 3, [0.58] * 3])
    row = yuv_frame(codes, BT2020, curve=PQ, primaries=BT2020, size=64)
    frame = av.VideoFrame(128, 96, "yuv420p10le")
    for plane, source in zip(frame.planes, row.planes, strict=True):
        line = np.frombuffer(memoryview(source), np.uint8)[: plane.line_size]
        plane.update(np.tile(line, plane.height).tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx265", rate=25)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 128, 96, "yuv420p10le"
        context.color_trc, context.color_primaries, context.colorspace = PQ, BT2020, BT2020
        context.color_range = 1
        context.options = {"x265-params": f"log-level=none:{more}".rstrip(":"), "crf": "4"}
        for index in range(3):
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_hdr_from_file_to_file_is_bright_and_told(tmp_path: Path) -> None:
    summary = run(write_pq(tmp_path / "in.hevc"), tmp_path / "out.mp4", options=FINE)
    shown = play(tmp_path / "out.mp4").pictures[0].astype(int)
    assert np.abs(shown[20:76, 10:54] - 108).max() <= 5
    assert shown[20:76, 74:118].min() >= 220
    assert "HDR (PQ) and was tone-mapped" in summary.warnings[0]


def test_a_brighter_master_leaves_more_room_above_the_page(tmp_path: Path) -> None:
    run(write_pq(tmp_path / "in.hevc", MASTERED), tmp_path / "out.mp4", options=FINE)
    shown = play(tmp_path / "out.mp4").pictures[0].astype(int)
    assert np.abs(shown[20:76, 10:54] - 108).max() <= 5
    assert 200 <= shown[20:76, 74:118].mean() <= 216


# Picture sizes whose matrix no tag names, and the one that players take.
SIZES = [
    ((1280, 536), BT709), ((1280, 720), BT709), ((480, 848), BT709), ((1920, 816), BT709),
    ((720, 576), BT601), ((848, 480), BT601), ((1024, 576), BT601), ((640, 360), BT601),
]  # fmt: skip


@pytest.mark.parametrize(("size", "matrix"), SIZES)
def test_an_unnamed_matrix_is_that_which_players_take(size: tuple[int, int], matrix: int) -> None:
    wanted = np.array([[0.8, 0.2, 0.3]])
    kr, kb = WEIGHTS[matrix]
    luma = float(wanted[0] @ [kr, 1 - kr - kb, kb])
    planes = [luma * 219 + 16, (0.3 - luma) / (2 - 2 * kb) * 224 + 128]
    planes.append((0.8 - luma) / (2 - 2 * kr) * 224 + 128)
    frame = av.VideoFrame(*size, "yuv420p")
    for plane, value in zip(frame.planes, planes, strict=True):
        plane.update(bytes([round(value)]) * plane.buffer_size)
    shown = to_rgb(frame, width=size[0], height=size[1])[9, 9]
    assert np.abs(shown - 255 * wanted[0]).max() <= 2


def test_the_case_in_scope_is_bt709(tmp_path: Path) -> None:
    run(CASES / "scope720_none.mp4", tmp_path / "out.mp4", options=FINE)
    with av.open(str(CASES / "scope720_none.mp4")) as container:
        first = next(container.decode(video=0))
    y, u, v = (
        np.frombuffer(memoryview(p), np.uint8).astype(float)[9 * p.line_size + 9]
        for p in first.planes
    )
    luma, blue, red = (y - 16) / 219, (u - 128) / 224, (v - 128) / 224
    kr, kb = WEIGHTS[BT709]
    rgb = [luma + (2 - 2 * kr) * red, 0.0, luma + (2 - 2 * kb) * blue]
    rgb[1] = (luma - kr * rgb[0] - kb * rgb[2]) / (1 - kr - kb)
    shown = play(tmp_path / "out.mp4").pictures[0][18, 18]
    assert np.abs(shown - 255 * np.clip(rgb, 0, 1)).max() <= 4


def write_interlaced(path: Path, codec: str, *, top_first: bool = True) -> list[Pixels]:
    """Write a white bar that moves 8 px a field; return the whole pictures of the first fields."""
    moments = []
    for field in range(24):
        picture = np.full((96, 192, 3), 40, np.uint8)
        picture[:, 8 * field : 8 * field + 24] = 220
        moments.append(picture)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 192, 96, "yuv420p"
        context = stream.codec_context
        if codec == "libx264":
            context.options = {"x264-params": "tff=1" if top_first else "bff=1", "crf": "4"}
        else:
            context.flags |= 1 << 18 | 1 << 29  # AV_CODEC_FLAG_INTERLACED_DCT and _ME
            context.bit_rate = 8_000_000
        graph = av.filter.Graph()
        source = graph.add_buffer(
            width=192, height=96, format=av.VideoFormat("yuv420p"), time_base=Fraction(1, 25)
        )
        marked = graph.add("setfield", "tff" if top_first else "bff")
        sink = graph.add("buffersink")
        source.link_to(marked)
        marked.link_to(sink)
        graph.configure()
        for number in range(12):
            first, second = moments[2 * number : 2 * number + 2]
            woven = first.copy()
            woven[(1 if top_first else 0) :: 2] = second[(1 if top_first else 0) :: 2]
            frame = av.VideoFrame.from_ndarray(woven, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = number, Fraction(1, 25)
            graph.push(frame)
            marked_frame = graph.pull()
            assert isinstance(marked_frame, av.VideoFrame)
            container.mux(stream.encode(marked_frame))
        container.mux(stream.encode(None))
    return moments[::2]


@pytest.mark.parametrize("top_first", [True, False])
@pytest.mark.parametrize(
    ("codec", "suffix"), [("libx264", ".mkv"), ("mpeg2video", ".mpg"), ("libx264", ".ts")]
)
def test_interlaced_frames_are_made_whole(
    codec: str, suffix: str, top_first: bool, tmp_path: Path
) -> None:
    if codec == "mpeg2video" and not top_first:
        pytest.skip("this encoder writes the top field first")
    whole = write_interlaced(tmp_path / f"in{suffix}", codec, top_first=top_first)
    summary = run(tmp_path / f"in{suffix}", tmp_path / "out.mkv", options=FINE)
    seen = play(tmp_path / "out.mkv")
    assert len(seen.pictures) == 12
    assert np.allclose(np.diff(seen.times), 0.04, atol=2e-3)
    assert "deinterlaced" in summary.warnings[0]
    for shown, moment in zip(seen.pictures[2:-2], whole[2:-2], strict=True):
        assert np.abs(shown.astype(int) - moment).mean() < 3
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert not any(frame.interlaced_frame for frame in container.decode(video=0))


def test_deinterlacing_can_be_declined(tmp_path: Path) -> None:
    write_interlaced(tmp_path / "in.mkv", "libx264")
    options = VideoOptions(Quality(crf=4), deinterlace=False)
    summary = run(tmp_path / "in.mkv", tmp_path / "out.mkv", options=options)
    shown = play(tmp_path / "out.mkv").pictures[6].astype(int)
    assert np.abs(np.diff(shown[:, 96:140], axis=0)).max() > 100
    assert "combs" in summary.warnings[0]

"""Time runs from 0 and on, whatever the counters of a recording do."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.packet import Packet

from stylepress.runtime.media import streams
from stylepress.runtime.media.vop import PictureHeaders
from tests.runtime.clips import Seen, gray, levels, noise_frame, play, run

CASES = Path(__file__).parent / "cases"
TICKS = 90_000
WRAP = 1 << 33
MP2_DELAY = 481 * TICKS // 48_000  # what FFmpeg's encoder begins before 0
NOT_CODED = b"\x00\x00\x01\xb6\x50\x4f"
"""MPEG-4 of 25 pictures a second: the last one stays."""


def write_stream(
    path: Path, starts: list[int], *, count: int = 25, sound_late: int = 0, kind: str = "mpegts"
) -> Path:
    """Write gray pictures and sound as MPEG, time stamps beginning at each of ``starts`` in turn."""
    data = b""
    for part, start in enumerate(starts):
        piece = path.with_suffix(f".{part}")
        with av.open(str(piece), "w", format=kind) as container:
            coder = "libx264" if kind == "mpegts" else "mpeg2video"
            pictures = container.add_stream(coder, rate=25)
            assert isinstance(pictures, av.VideoStream)
            context = pictures.codec_context
            context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
            context.options = {"bf": "0"} if coder == "mpeg2video" else {"preset": "ultrafast"}
            sound = container.add_stream("mp2", rate=48_000, layout="mono")
            assert isinstance(sound, av.AudioStream)
            for index in range(count):
                number = part * count + index
                frame = av.VideoFrame.from_ndarray(gray(levels(50)[number % 50]), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                for packet in pictures.encode(frame):
                    _mux_at(container, packet, start)
                noise = av.AudioFrame.from_ndarray(
                    np.random.default_rng(number).integers(-99, 99, (1, 1920), np.int16),
                    format="s16",
                    layout="mono",
                )
                noise.sample_rate, noise.pts, noise.time_base = (
                    48_000,
                    index * 1920,
                    Fraction(1, 48_000),
                )
                for heard in sound.encode(noise):
                    _mux_at(container, heard, start + sound_late + MP2_DELAY)
            for packet in pictures.encode(None):
                _mux_at(container, packet, start)
        data += piece.read_bytes()
    path.write_bytes(data)
    return path


def _mux_at(container: av.container.OutputContainer, packet: Packet, start: int) -> None:  # type: ignore[type-arg]
    base = Fraction(1, TICKS)
    assert packet.time_base
    assert packet.pts is not None
    assert packet.dts is not None
    ticks = packet.time_base / base
    packet.pts, packet.dts = round(packet.pts * ticks) + start, round(packet.dts * ticks) + start
    packet.duration = round((packet.duration or 0) * ticks)
    packet.time_base = base
    container.mux(packet)


def seen_by(source: Path, target: Path) -> Seen:
    """Play what becomes of a source; its sound and pictures."""
    run(source, target)
    return play(target)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_broadcast_that_begins_at_40000_s_begins_at_0(suffix: str, tmp_path: Path) -> None:
    seen = seen_by(CASES / "dvb.ts", tmp_path / f"out{suffix}")
    assert len(seen.times) == 75
    delay_s = 0.007 if suffix == ".webm" else 0  # of Opus; players take it off
    assert seen.sound[0][0] == pytest.approx(0, abs=1e-3 + delay_s)
    # The file says: sound at 39999.978667 s, the first picture 0.021333 s later.
    assert np.allclose(seen.times, 0.021333 + np.arange(75) / 25, atol=1e-3)


@pytest.mark.parametrize("kind", ["mpegts", "mpeg"])
@pytest.mark.parametrize("start", [0, 126_000, 3_600_000_000, WRAP - 45_000, WRAP - 3_000])
def test_every_start_also_just_before_the_counter_wraps_is_0(
    start: int, kind: str, tmp_path: Path
) -> None:
    source = write_stream(tmp_path / "in.mpg", [start], kind=kind)
    seen = seen_by(source, tmp_path / "out.mp4")
    assert np.allclose(seen.levels, levels(25), atol=2.5)
    assert np.allclose(seen.times, np.arange(25) / 25, atol=1e-3)


@pytest.mark.parametrize("late", [-9_000, 9_000])
def test_sound_and_picture_keep_their_distance(late: int, tmp_path: Path) -> None:
    source = write_stream(tmp_path / "in.ts", [900_000], sound_late=late)
    seen = seen_by(source, tmp_path / "out.mp4")
    assert min(seen.times[0], seen.sound[0][0]) == pytest.approx(0, abs=1e-3)
    assert seen.sound[0][0] - seen.times[0] == pytest.approx(late / TICKS, abs=1e-3)


@pytest.mark.parametrize("second", [0, 900_000_000, 5_000_000_000])
def test_a_clock_that_jumps_in_the_middle_runs_on(second: int, tmp_path: Path) -> None:
    source = write_stream(tmp_path / "in.ts", [900_000, second])
    seen = seen_by(source, tmp_path / "out.mp4")
    assert np.allclose(seen.levels, levels(50), atol=2.5)
    assert np.allclose(seen.times, np.arange(50) / 25, atol=0.045)
    assert np.diff([time for time, _ in seen.sound]).max() < 0.1


def packed(path: Path) -> list[Packet]:  # type: ignore[type-arg]
    """Return the packets of an MPEG-4 file with single B-frames, packed as VfW wrote them."""
    with av.open(str(path)) as container:
        singles = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    marker = b"\x00\x00\x01\xb2DivX503b1393p"
    held = singles[:1]
    for reference, between in zip(singles[1::2], singles[2::2], strict=False):
        held += [reference + between, NOT_CODED]
    head = held[0]
    at = (
        head.index(b"\x00\x00\x01\xb3")
        if b"\x00\x00\x01\xb3" in head
        else head.index(b"\x00\x00\x01\xb6")
    )
    return [Packet(head[:at] + marker + head[at:]), *map(Packet, held[1:])]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("codec", "b_frames", "pack"),
    [("mpeg4", 1, False), ("mpeg4", 1, True), ("mpeg4", 0, False), ("libx264", 3, False)],
)
def test_frames_of_an_avi_are_shown_when_their_number_says(
    codec: str,
    b_frames: int,
    pack: bool,
    threads: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(streams, "usable_cores", lambda: threads)
    count = 21
    plain = tmp_path / "in.avi"
    with av.open(str(plain), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = 64, 48, "yuv420p"
        context.options = {"bf": str(b_frames), "b_strategy": "0", "sc_threshold": "1000000000"}
        context.thread_count = 1  # else each picture is cut in slices, and none is very small
        for index, level in enumerate(levels(count)):
            picture = gray(level)
            picture[:, index * 3 : index * 3 + 3] = 255 - level
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    if pack:
        held, target = packed(plain), tmp_path / "packed.avi"
        with av.open(str(plain)) as source, av.open(str(target), "w") as container:
            copy = container.add_stream_from_template(source.streams.video[0])
            for number, packet in enumerate(held):
                packet.stream, packet.time_base = copy, Fraction(1, 25)
                packet.pts = packet.dts = number
                packet.is_keyframe = number == 0
                container.mux(packet)
        plain = target
    seen = seen_by(plain, tmp_path / "out.mkv")
    assert np.allclose(seen.times, np.arange(count) / 25, atol=1e-3)
    shown = [picture[:, : max(1, 3 * index)].mean() for index, picture in enumerate(seen.pictures)]
    assert np.allclose(shown[1:], levels(count)[1:], atol=8)


def packed_bits(*fields: tuple[int, int]) -> bytes:
    """Return numbers of the given widths, one after another, filled up with ones."""
    bits = "".join(f"{value:0{width}b}" for value, width in fields if width)
    bits += "1" * (-len(bits) % 8)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


@pytest.mark.parametrize("steps", [1, 2, 25, 30_000, 65_535])
@pytest.mark.parametrize("seconds", [0, 3])
@pytest.mark.parametrize("long", [False, True])
def test_a_picture_of_mpeg4_is_known_by_its_header_however_small(
    steps: int, seconds: int, long: bool
) -> None:
    version = ((1, 1), (2, 4), (1, 3)) if long else ((0, 1),)
    aspect = ((15, 4), (4, 8), (3, 8)) if long else ((1, 4),)
    control = ((1, 1), (1, 2), (0, 1), (1, 1), (0, 79)) if long else ((0, 1),)
    layer = packed_bits((0, 1), (1, 8), *version, *aspect, *control, (0, 2), (1, 1), (steps, 16))
    layer = b"\0\0\1\x20" + layer
    for coded in (0, 1):
        ones = ((1, 1),) * seconds
        time = (0, (steps - 1).bit_length() or 1)
        plane = packed_bits((1, 2), *ones, (0, 1), (1, 1), time, (1, 1), (coded, 1), (0, 1))
        plane = b"\0\0\1\xb6" + plane
        assert PictureHeaders(layer).picture(plane) == bool(coded)
        assert PictureHeaders(None).picture(layer + plane) == bool(coded)
    assert not PictureHeaders(layer).picture(layer)


@pytest.mark.parametrize("fragments", [False, True])
@pytest.mark.parametrize(
    "suffix", [".mkv", ".mp4", ".mov", ".flv", ".asf", ".nut", ".webm", ".3gp"]
)
def test_a_late_start_is_taken_off_in_every_container(
    suffix: str, fragments: bool, tmp_path: Path
) -> None:
    if fragments and suffix not in (".mp4", ".mov"):
        pytest.skip("only MP4 is written in fragments")
    web = suffix == ".webm"
    options = {"movflags": "frag_keyframe+empty_moov+default_base_moof"} if fragments else {}
    if suffix in (".mp4", ".mov", ".3gp"):
        options["avoid_negative_ts"] = "disabled"
    source = tmp_path / f"in{suffix}"
    with av.open(str(source), "w", options=options) as container:
        pictures = container.add_stream("libvpx" if web else "libx264", rate=25)
        sound = container.add_stream("libopus" if web else "aac", rate=48_000, layout="stereo")
        assert isinstance(pictures, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for index, level in enumerate(levels(25)):
            frame = av.VideoFrame.from_ndarray(gray(level), format="rgb24")
            frame.pts, frame.time_base = index + 250, Fraction(1, 25)
            container.mux(pictures.encode(frame))
            container.mux(sound.encode(noise_frame(40 * index + 10_080)))
        container.mux(sound.encode(None))
        container.mux(pictures.encode(None))
    before = play(source)
    seen = seen_by(source, tmp_path / "out.mp4")
    assert np.allclose(seen.levels, levels(25), atol=2.5)
    assert min(seen.times[0], seen.sound[0][0]) == pytest.approx(0, abs=1e-3)
    assert np.allclose(np.diff(seen.times), 0.04, atol=2e-3)
    if suffix != ".asf":  # which names no time of presentation either
        between = before.sound[0][0] - before.times[0]
        assert seen.sound[0][0] - seen.times[0] == pytest.approx(between, abs=2e-3)


@pytest.mark.parametrize("codec", ["mjpeg", "mpeg4"])
def test_frames_left_out_of_an_avi_leave_the_others_in_time(codec: str, tmp_path: Path) -> None:
    kept = [index for index in range(25) if index not in (5, 6, 11)]
    with av.open(str(tmp_path / "in.avi"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for index in range(25):
            if index not in kept:
                if codec == "mpeg4":
                    stays = Packet(NOT_CODED)
                    stays.stream, stays.time_base = stream, Fraction(1, 25)
                    stays.pts = stays.dts = index
                    container.mux(stays)
                continue
            frame = av.VideoFrame.from_ndarray(gray(levels(25)[index]), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    seen = seen_by(tmp_path / "in.avi", tmp_path / "out.mkv")
    assert np.allclose(seen.times, np.array(kept) / 25, atol=1e-3)
    assert np.allclose(seen.levels, np.array(levels(25))[kept], atol=2.5)


def test_subtitles_from_before_the_first_picture_do_not_move_the_clock(tmp_path: Path) -> None:
    texts = tmp_path / "in.srt"
    texts.write_text(
        "1\n00:00:01,000 --> 00:00:02,000\nearly\n\n"
        "2\n00:00:08,000 --> 00:00:10,500\nacross\n\n"
        "3\n00:00:10,600 --> 00:00:10,900\nwithin\n\n"
    )
    with av.open(str(texts)) as source, av.open(str(tmp_path / "in.mkv"), "w") as container:
        pictures = container.add_stream("libx264", rate=25)
        assert isinstance(pictures, av.VideoStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream_from_template(source.streams.subtitles[0])
        for packet in source.demux():
            if packet.size:
                packet.stream = track
                container.mux(packet)
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(gray(90), format="rgb24")
            frame.pts, frame.time_base = index + 250, Fraction(1, 25)
            container.mux(pictures.encode(frame))
        container.mux(pictures.encode(None))
    run(tmp_path / "in.mkv", tmp_path / "out.mkv")
    assert play(tmp_path / "out.mkv").times[0] == pytest.approx(0, abs=1e-3)
    with av.open(str(tmp_path / "out.mkv")) as container:
        shown = [
            (bytes(packet), float((packet.pts or 0) * packet.time_base), packet.duration)
            for packet in container.demux(subtitles=0)
            if packet.size
        ]
    assert shown == [(b"across", 0.0, 500), (b"within", pytest.approx(0.6, abs=1e-3), 300)]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_what_an_edit_cut_off_does_not_come_back_as_a_lead_in(suffix: str, tmp_path: Path) -> None:
    """As phones trim: sound and pictures of the first second are in the file, but not shown."""
    source = tmp_path / "in.mp4"
    with av.open(str(source), "w", options={"avoid_negative_ts": "disabled"}) as container:
        pictures = container.add_stream("libx264", rate=25)
        sound = container.add_stream("aac", rate=48_000, layout="stereo")
        assert isinstance(pictures, av.VideoStream)
        assert isinstance(sound, av.AudioStream)
        pictures.width, pictures.height, pictures.pix_fmt = 64, 48, "yuv420p"
        for index, level in enumerate(levels(50)):
            frame = av.VideoFrame.from_ndarray(gray(level), format="rgb24")
            frame.pts, frame.time_base = index - 25, Fraction(1, 25)
            container.mux(pictures.encode(frame))
            noise = noise_frame(40 * index)
            noise.pts = 48 * (40 * index - 1000)
            container.mux(sound.encode(noise))
        container.mux(sound.encode(None))
        container.mux(pictures.encode(None))
    seen = seen_by(source, tmp_path / f"out{suffix}")
    assert np.allclose(seen.levels, levels(50)[25:], atol=2.5)
    assert seen.times[0] - max(0, seen.sound[0][0]) < 0.13
    assert seen.sound[-1][0] - seen.times[-1] == pytest.approx(0.02, abs=0.03)

"""Of several streams the right one is taken, and what is left out is told."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import Disposition

from stylepress.errors import FrameError
from stylepress.runtime.media.programmes import programmes
from stylepress.runtime.media.streams import opened
from stylepress.runtime.media.video import VideoOptions
from tests.runtime.clips import gray, noise_frame, play, run

CASES = Path(__file__).parent / "cases"
SMALL, LARGE = (32, 48), (64, 96)


def write_films(
    path: Path, films: list[tuple[tuple[int, int], int, int]], options: dict[str, str] | None = None
) -> Path:
    """Write streams of (size, gray level, disposition), with one track of sound, 10 frames long."""
    with av.open(str(path), "w", options=options or {}) as container:
        streams = []
        for size, _, disposition in films:
            stream = container.add_stream("libx264", rate=25)
            assert isinstance(stream, av.VideoStream)
            context = stream.codec_context
            (context.height, context.width), context.pix_fmt = size, "yuv420p"
            stream.disposition = Disposition(disposition)
            streams.append(stream)
        sound = container.add_stream("aac", rate=48_000, layout="stereo")
        assert isinstance(sound, av.AudioStream)
        for index in range(10):
            for stream, (size, level, _) in zip(streams, films, strict=True):
                frame = av.VideoFrame.from_ndarray(gray(level, size), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(sound.encode(noise_frame(40 * index)))
        for stream in streams:
            container.mux(stream.encode(None))
        container.mux(sound.encode(None))
    return path


@pytest.mark.parametrize("suffix", [".mkv", ".ts"])
def test_the_largest_of_two_is_taken_and_the_other_named(suffix: str, tmp_path: Path) -> None:
    source = write_films(tmp_path / f"in{suffix}", [(SMALL, 50, 0), (LARGE, 200, 0)])
    summary = run(source, tmp_path / "out.mp4")
    seen = play(tmp_path / "out.mp4")
    assert seen.pictures[0].shape[:2] == LARGE
    assert np.allclose(seen.levels, 200, atol=2)
    assert "number 1 (96x64) is taken, and not 0 (48x32)" in summary.warnings[0]


def test_the_default_one_comes_before_the_largest(tmp_path: Path) -> None:
    films = [(LARGE, 200, 0), (SMALL, 50, int(Disposition.default))]
    source = write_films(tmp_path / "in.mkv", films, {"default_mode": "passthrough"})
    run(source, tmp_path / "out.mp4")
    assert play(tmp_path / "out.mp4").pictures[0].shape[:2] == SMALL


def test_the_case_of_two_videos_gives_the_default_stream_whole(tmp_path: Path) -> None:
    run(CASES / "two_videos.mkv", tmp_path / "out.mkv")
    seen = play(tmp_path / "out.mkv")
    assert len(seen.times) == 75
    assert seen.pictures[0].shape[:2] == LARGE


def test_a_stream_is_chosen_by_its_number_and_a_wrong_number_lists_them(tmp_path: Path) -> None:
    source = write_films(tmp_path / "in.mkv", [(SMALL, 50, 0), (LARGE, 200, 0)])
    run(source, tmp_path / "out.mp4", options=VideoOptions(stream=0))
    assert play(tmp_path / "out.mp4").pictures[0].shape[:2] == SMALL
    with pytest.raises(FrameError, match=r"number 2.*0 \(48x32\), 1 \(96x64\) with `--stream`"):
        run(source, tmp_path / "no.mp4", options=VideoOptions(stream=2))


def crc(data: bytes) -> bytes:
    """The checksum of MPEG-2 sections (ISO 13818-1, annex A)."""
    value = 0xFFFFFFFF
    for byte in data:
        for bit in range(7, -1, -1):
            top = (value >> 31) ^ (byte >> bit & 1)
            value = (value << 1 & 0xFFFFFFFF) ^ (0x04C11DB7 if top else 0)
    return value.to_bytes(4, "big")


def two_programmes(folder: Path, stride: int) -> Path:
    """Multiplex two transport streams: a small and a large picture, each with sound of its own."""
    parts: list[list[bytes]] = []
    for number, (size, level) in enumerate(((SMALL, 50), (LARGE, 200)), start=1):
        options = {
            "mpegts_start_pid": hex(0x100 * number),
            "mpegts_pmt_start_pid": hex(0x1000 + number),
            "mpegts_service_id": str(number),
        }
        data = write_films(folder / f"in{number}.ts", [(size, level, 0)], options).read_bytes()
        packets = [data[at : at + 188] for at in range(0, len(data), 188)]
        parts.append([p for p in packets if int.from_bytes(p[1:3], "big") & 0x1FFF not in (0, 17)])
    listed = b"".join(bytes([0, n, 0xF0, n]) for n in (1, 2))
    section = b"\x00\xb0" + bytes([5 + len(listed) + 4]) + b"\x00\x01\xc1\x00\x00" + listed
    table = b"\x47\x40\x00\x10\x00" + section + crc(section)

    def mixed() -> Iterator[bytes]:
        yield table.ljust(188, b"\xff")
        for index in range(max(map(len, parts))):
            yield from (part[index] for part in parts if index < len(part))

    path = folder / "in.ts"
    path.write_bytes(b"".join(b"\0" * (stride - 188) + packet for packet in mixed()))
    return path


@pytest.mark.parametrize("stride", [188, 192])
@pytest.mark.parametrize("chosen", [None, 0])
def test_of_two_programmes_picture_and_sound_are_of_one(
    chosen: int | None, stride: int, tmp_path: Path
) -> None:
    source = two_programmes(tmp_path, stride)
    assert [len(group) for group in programmes(source)] == [2, 2]
    with opened(source) as clip:
        films = {film.width: film.index for film in clip.container.streams.video}
        sounds = {track.id: track.index for track in clip.container.streams.audio}
    wanted = None if chosen is None else films[48]
    summary = run(source, tmp_path / "out.mkv", options=VideoOptions(stream=wanted))
    seen = play(tmp_path / "out.mkv")
    assert seen.pictures[0].shape[:2] == (LARGE if chosen is None else SMALL)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert len(container.streams.audio) == 1
    own = 0x201 if chosen is None else 0x101
    left_out = next(index for pid, index in sounds.items() if pid != own)
    told = " ".join(summary.warnings)
    assert f"streams {left_out} belong to other programmes" in told


def test_an_attached_cover_is_no_video_and_is_kept(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        film = container.add_stream("libx264", rate=25)
        still = container.add_stream("mjpeg", rate=1)
        assert isinstance(film, av.VideoStream)
        assert isinstance(still, av.VideoStream)
        film.width, film.height, film.pix_fmt = 48, 32, "yuv420p"
        still.width, still.height, still.pix_fmt = 200, 200, "yuvj420p"
        still.disposition = Disposition.attached_pic
        container.mux(
            still.encode(av.VideoFrame.from_ndarray(gray(90, (200, 200)), format="rgb24"))
        )
        container.mux(still.encode(None))
        for _ in range(5):
            container.mux(film.encode(av.VideoFrame.from_ndarray(gray(90, SMALL), format="rgb24")))
        container.mux(film.encode(None))
    for suffix in (".mp4", ".mkv"):
        run(tmp_path / "in.mp4", tmp_path / f"out{suffix}")
        assert play(tmp_path / f"out{suffix}").pictures[0].shape[:2] == SMALL
        with av.open(str(tmp_path / f"out{suffix}")) as container:
            kinds = [
                (s.type, bool(s.disposition & Disposition.attached_pic)) for s in container.streams
            ]
        assert kinds == [("video", False), ("video", True)]

"""What a video brings beside its pictures arrives, or one line says what does not."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.stream import AttachmentStream, Disposition

from stylepress.runtime.media.encoder import Quality
from stylepress.runtime.media.video import VideoOptions
from tests.runtime.clips import gray, noise_frame, play, run, write_clip

CASES = Path(__file__).parent / "cases"
FINE = VideoOptions(Quality(crf=8))
APPLE = {
    "com.apple.quicktime.make": "Apple",
    "com.apple.quicktime.model": "iPhone 15",
    "com.apple.quicktime.location.ISO6709": "+52.5000+013.4000+034.000/",
    "com.apple.quicktime.creationdate": "2024-05-01T12:00:00+0200",
    "creation_time": "2024-05-01T10:00:00.000000Z",
}


def write_rich(
    path: Path, *, tags: dict[str, str] | None = None, fonts: bool = False, late_s: int = 0
) -> Path:
    """Write a second of gray with two chapters and two tracks, the second marked as default."""
    options = {"movflags": "use_metadata_tags"} if path.suffix in (".mov", ".mp4") else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata.update(tags or {})
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.disposition = Disposition.default
        tracks = []
        for language, disposition in (
            ("eng", Disposition(0)),
            ("ger" if path.suffix == ".mov" else "deu", Disposition.default | Disposition.forced),
        ):
            sound = container.add_stream("aac", rate=48_000, layout="stereo")
            assert isinstance(sound, av.AudioStream)
            sound.disposition, sound.metadata["language"] = disposition, language
            tracks.append(sound)
        if fonts:
            container.add_attachment("walk.ttf", "font/ttf", b"not a font " * 9)
        marks = [(0, 400, "home"), (400, 1000, "away")]
        container.set_chapters(
            [
                {
                    "id": number,
                    "start": start + 1000 * late_s,
                    "end": end + 1000 * late_s,
                    "time_base": Fraction(1, 1000),
                    "metadata": {"title": title},
                }
                for number, (start, end, title) in enumerate(marks)
            ]
        )
        for index in range(25):
            frame = av.VideoFrame.from_ndarray(gray(99), format="rgb24")
            frame.pts, frame.time_base = index + 25 * late_s, Fraction(1, 25)
            container.mux(stream.encode(frame))
            for sound in tracks:
                container.mux(sound.encode(noise_frame(40 * index + 1000 * late_s)))
        for sound in tracks:
            container.mux(sound.encode(None))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("source", [".mkv", ".mp4", ".mov"])
@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".mov", ".webm"])
def test_chapters_default_tracks_and_languages_stay(
    source: str, suffix: str, tmp_path: Path
) -> None:
    summary = run(write_rich(tmp_path / f"in{source}"), tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        chapters = [
            (c["metadata"]["title"], float(c["start"] * (c["time_base"] or 1)))
            for c in container.chapters()
        ]
        sounds = [
            (
                s.metadata.get("language", "").replace("ger", "deu"),
                bool(s.disposition & Disposition.default),
            )
            for s in container.streams.audio
        ]
    assert chapters == [("home", 0), ("away", 0.4)]
    assert sounds == [("eng", False), ("deu", True)]
    assert all("audio stream" in warning for warning in summary.warnings), summary.warnings


def test_chapters_move_with_the_clock(tmp_path: Path) -> None:
    run(write_rich(tmp_path / "in.mkv", late_s=9), tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        starts = [float(c["start"] * (c["time_base"] or 1)) for c in container.chapters()]
    assert np.allclose(starts, [0, 0.4], atol=0.03)
    assert play(tmp_path / "out.mkv").times[0] == pytest.approx(0, abs=0.03)


def test_a_forced_track_stays_forced_in_matroska(tmp_path: Path) -> None:
    run(write_rich(tmp_path / "in.mkv"), tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        forced = [bool(s.disposition & Disposition.forced) for s in container.streams.audio]
    assert forced == [False, True]


def test_fonts_stay_in_matroska_and_are_named_elsewhere(tmp_path: Path) -> None:
    source = write_rich(tmp_path / "in.mkv", fonts=True)
    assert not run(source, tmp_path / "out.mkv").warnings
    with av.open(str(tmp_path / "out.mkv")) as container:
        (font,) = [s for s in container.streams if isinstance(s, AttachmentStream)]
        assert (font.name, font.mimetype, font.data) == ("walk.ttf", "font/ttf", b"not a font " * 9)
    (warning,) = run(source, tmp_path / "out.mp4").warnings
    assert "walk.ttf" in warning


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv", ".webm"])
def test_place_camera_and_date_of_a_phone_stay(suffix: str, tmp_path: Path) -> None:
    run(write_rich(tmp_path / "in.mov", tags=APPLE), tmp_path / f"out{suffix}")
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        seen = {key.lower(): value for key, value in container.metadata.items()}
    assert {key.lower(): value for key, value in APPLE.items()}.items() <= seen.items()


def with_alpha(path: Path, codec: str, kind: str) -> Path:
    """Write five frames: left half opaque and gray, right half a third opaque and white."""
    pixels = np.full((48, 64, 4), 255, np.uint8)
    pixels[:, :32, :3], pixels[:, 32:, 3] = 60, 85
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, kind
        stream.options = {"auto-alt-ref": "0"} if "vpx" in codec else {}
        for _ in range(5):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgba")))
        container.mux(stream.encode(None))
    return path


ALPHA = [
    ("in.mov", "prores_ks", "yuva444p10le"),
    ("in.mov", "qtrle", "argb"),
    ("in.mov", "png", "rgba"),
    ("in.webm", "libvpx-vp9", "yuva420p"),
    ("in.webm", "libvpx", "yuva420p"),
    ("in.mkv", "ffv1", "yuva420p"),
]


@pytest.mark.parametrize(("name", "codec", "kind"), ALPHA)
def test_transparency_stays_in_webm(name: str, codec: str, kind: str, tmp_path: Path) -> None:
    source = with_alpha(tmp_path / name, codec, kind)
    summary = run(source, tmp_path / "out.webm", options=FINE)
    assert not summary.warnings
    seen = play(tmp_path / "out.webm", kind="rgba").pictures
    assert len(seen) == 5
    assert np.abs(seen[-1][8:40, 4:28].astype(int) - (60, 60, 60, 255)).max() <= 4
    assert np.abs(seen[-1][8:40, 36:60, 3].astype(int) - 85).max() <= 4


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize(("name", "codec", "kind"), ALPHA)
def test_elsewhere_it_is_laid_on_white_and_told(
    name: str, codec: str, kind: str, suffix: str, tmp_path: Path
) -> None:
    summary = run(with_alpha(tmp_path / name, codec, kind), tmp_path / f"out{suffix}", options=FINE)
    assert "laid on white" in summary.warnings[0]
    seen = play(tmp_path / f"out{suffix}").pictures[-1]
    assert np.abs(seen[8:40, 4:28].astype(int) - 60).max() <= 4
    assert seen[8:40, 36:60].min() >= 251
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        assert "alpha_mode" not in {key.lower() for key in container.streams.video[0].metadata}


def test_the_case_with_alpha_is_red_on_white(tmp_path: Path) -> None:
    run(CASES / "alpha.mov", tmp_path / "out.mp4", options=FINE)
    seen = play(tmp_path / "out.mp4").pictures[-1].astype(int)
    assert np.abs(seen[8:-8, 4:40] - (255, 0, 0)).max() <= 4
    assert np.abs(seen[8:-8, 56:92] - 255).max() <= 4


def test_an_opaque_video_of_a_kind_with_alpha_is_not_remarked_upon(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "in.mov", [gray(80)] * 3, codec="qtrle", kind="argb")
    assert not run(source, tmp_path / "out.mp4").warnings


def test_the_muxers_own_tags_are_not_taken_over(tmp_path: Path) -> None:
    tags = {"title": "a walk", "encoder": "old", "DURATION": "9", "_STATISTICS_TAGS": "BPS"}
    run(write_rich(tmp_path / "in.mkv", tags=tags), tmp_path / "out.mkv")
    with av.open(str(tmp_path / "out.mkv")) as container:
        seen = container.metadata
    assert seen["title"] == "a walk"
    assert not {"old", "9", "BPS"} & set(seen.values())

"""Sound that a container or encoder does not take as it is arrives all the same, and is told."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from tests.runtime.clips import gray, run

COUNT, HERTZ = 50, 48_000


def write_tone(
    path: Path, codec: str, rate: int, layout: str, *, named: bool = True, kind: str = "s16"
) -> Path:
    """Write two seconds of gray with a tone of its own in each channel: 300, 400, ... Hz."""
    channels = av.AudioLayout(layout).nb_channels
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(sound, av.AudioStream)
        for _ in range(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(gray(99), format="rgb24")))
        container.mux(stream.encode(None))
        time = np.arange(rate * 2) / rate
        tones = [np.sin(2 * np.pi * (300 + 100 * channel) * time) for channel in range(channels)]
        step = 1000
        for at in range(0, len(time), step):
            block = np.array(tones)[:, at : at + step]
            frame = av.AudioFrame.from_ndarray(
                (block.T.reshape(1, -1) * 6000).astype(np.int16), format="s16", layout=layout
            )
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
    return path


def heard(path: Path) -> tuple[str, int, NDArray[np.float64], float]:
    """Return layout, rate, samples (channels, time) as float, and when they begin, in s."""
    with av.open(str(path)) as container:
        (sound,) = container.streams.audio
        resampler = av.AudioResampler(format="flt")
        frames = [r for frame in container.decode(sound) for r in resampler.resample(frame)]
        rows = [frame.to_ndarray().reshape(-1, sound.layout.nb_channels) for frame in frames]
        samples = np.concatenate(rows).T
        first = frames[0].time or 0.0
        return sound.layout.name, sound.sample_rate, samples.astype(np.float64), float(first)


def loudest_hz(samples: NDArray[np.float64], rate: int) -> float:
    """The frequency of a channel."""
    middle = samples[rate // 4 : rate // 4 + rate]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    return float(np.argmax(spectrum) * rate / len(middle))


FITS = [
    # codec, suffix in, rate, layout; suffix out, rate, layout; the tone of each channel, by its number
    ("ac3", ".mkv", 48_000, "5.1(side)", ".webm", 48_000, "5.1", [0, 1, 2, None, 4, 5]),
    ("flac", ".mkv", 48_000, "4.0", ".webm", 48_000, "5.1", [0, 1, 2, None, 3, 3]),
    ("flac", ".mkv", 48_000, "5.0", ".webm", 48_000, "5.1", [0, 1, 2, None, 3, 4]),
    ("flac", ".mkv", 48_000, "7.1", ".webm", 48_000, "7.1", [0, 1, 2, None, 4, 5, 6, 7]),
    ("pcm_s16le", ".mkv", 48_000, "7.1", ".webm", 48_000, "7.1", [0, 1, 2, None, 4, 5, 6, 7]),
    ("pcm_s16le", ".mkv", 44_056, "stereo", ".mp4", 44_100, "stereo", [0, 1]),
    ("pcm_s16le", ".mkv", 44_056, "stereo", ".webm", 48_000, "stereo", [0, 1]),
    ("pcm_s16le", ".mkv", 44_056, "5.1(side)", ".mp4", 44_100, "5.1", [0, 1, 2, None, 4, 5]),
    ("pcm_s16le", ".avi", 48_000, "quad", ".webm", 48_000, "quad", [0, 1, 2, 3]),
    ("pcm_s16le", ".mkv", 192_000, "mono", ".mp4", 96_000, "mono", [0]),
    ("pcm_s16le", ".mkv", 5_512, "mono", ".mp4", 7_350, "mono", [0]),
]


@pytest.mark.parametrize("fit", FITS, ids=lambda fit: "-".join(map(str, fit[:5])))
def test_layout_and_rate_are_changed_only_as_far_as_needed(
    fit: tuple[str, str, int, str, str, int, str, list[int | None]], tmp_path: Path
) -> None:
    codec, source, rate, layout, suffix, new_rate, new_layout, tones = fit
    path = write_tone(tmp_path / f"in{source}", codec, rate, layout)
    summary = run(path, tmp_path / f"out{suffix}")
    seen_layout, seen_rate, samples, begin = heard(tmp_path / f"out{suffix}")
    assert (seen_layout, seen_rate) == (new_layout, new_rate)
    assert "was encoded as" in summary.warnings[0]
    if (rate, layout) != (new_rate, new_layout):
        assert f" at {rate} Hz as {new_layout} at {new_rate} Hz" in summary.warnings[0]
    for channel, tone in enumerate(tones):
        if tone is not None:  # encoders cut the low frequency channel off below its tone
            assert loudest_hz(samples[channel], new_rate) == pytest.approx(300 + 100 * tone, abs=3)
    assert begin + samples.shape[1] / new_rate == pytest.approx(2, abs=0.09)


def test_channels_without_names_stand_where_wave_puts_them(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "in.mov", "pcm_s16le", 48_000, "5.1")
    data = bytearray(path.read_bytes())
    at = data.index(b"chan")  # QuickTime's atom of the layout: 0x10006 would be "6 in no order"
    data[at : at + 4] = b"free"
    path.write_bytes(data)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].layout.name == "6 channels"
    for suffix, last in ((".mp4", "aac"), (".webm", "opus")):
        summary = run(path, tmp_path / f"out{suffix}")
        layout, rate, samples, _ = heard(tmp_path / f"out{suffix}")
        assert layout == "5.1"
        assert f"encoded as {last}, 6 channels at 48000 Hz as 5.1" in summary.warnings[0]
        seen = [loudest_hz(samples[channel], rate) for channel in (0, 1, 2, 4, 5)]
        assert np.allclose(seen, [300, 400, 500, 700, 800], atol=3)


def test_damaged_packets_of_sound_are_counted(tmp_path: Path) -> None:
    path = write_tone(tmp_path / "in.mkv", "flac", 48_000, "stereo")
    data = bytearray(path.read_bytes())
    sync = b"\xff\xf8"
    places = [at for at in range(len(data) - 1) if data[at : at + 2] == sync]
    for at in places[5:15]:
        data[at : at + 40] = bytes(40)
    path.write_bytes(data)
    summary = run(path, tmp_path / "out.webm")
    assert any("damaged packets of sound" in warning for warning in summary.warnings)


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_sound_that_changes_its_shape_on_the_way_goes_on(suffix: str, tmp_path: Path) -> None:
    """As broadcasts do between a film and its advertisements."""
    data = b""
    for layout, rate in (("stereo", 48_000), ("mono", 44_100)):
        data += write_tone(tmp_path / "part.ts", "mp2", rate, layout).read_bytes()
    (tmp_path / "in.ts").write_bytes(data)
    run(tmp_path / "in.ts", tmp_path / f"out{suffix}")
    if suffix == ".mp4":  # copied: what a player makes of it is as before
        return
    layout, rate, samples, _ = heard(tmp_path / f"out{suffix}")
    assert (layout, rate) == ("stereo", 48_000)
    assert samples.shape[1] / rate == pytest.approx(4, abs=0.15)
    assert loudest_hz(samples[1, : rate * 2], rate) == pytest.approx(400, abs=3)
    assert loudest_hz(samples[1, rate * 2 :], rate) == pytest.approx(300, abs=3)


def test_a_damaged_packet_that_a_muxer_refuses_ends_nothing(tmp_path: Path) -> None:
    source = write_tone(tmp_path / "in.ts", "aac", 48_000, "stereo")
    data = bytearray(source.read_bytes())
    places = [at for at in range(len(data) - 1) if data[at : at + 2] == b"\xff\xf1"]
    for at in places[10:20:3]:
        data[at : at + 7] = bytes(7)
    source.write_bytes(data)
    summary = run(source, tmp_path / "out.mp4")
    assert summary.frames == COUNT
    assert any("damaged packets of sound" in warning for warning in summary.warnings)
    _, rate, samples, _ = heard(tmp_path / "out.mp4")
    assert samples.shape[1] / rate > 1.5

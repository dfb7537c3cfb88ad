"""Small real videos, made by PyAV, and what a player sees of the results."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.frame import VideoFrame

from stylepress.picture import Pixels
from stylepress.progress import Silent
from stylepress.runtime.feeds import Array, Feeds, Results
from stylepress.runtime.media.colour import to_rgb
from stylepress.runtime.media.lanes import Styling
from stylepress.runtime.media.streams import opened
from stylepress.runtime.media.video import VideoOptions, VideoSummary, stylize_video
from tests.frames import frame_ports

MS = Fraction(1, 1000)
DEADLINE_S = 60


class Plain:
    """An engine that changes nothing."""

    def __init__(self, lanes: int = 2) -> None:
        self.lanes, self.calls = lanes, 0
        self.lock = threading.Lock()

    graph = frame_ports()

    def run(self, feeds: Feeds, out: Mapping[str, Array] | None = None) -> Results:
        with self.lock:
            self.calls += 1
            number = self.calls
        self.delay(number)
        return {"frame_out": self.styled(np.asarray(feeds["frame"]), float(feeds["strength"]))}

    def styled(self, frame: Pixels, strength: float) -> Pixels:
        """Return what the engine makes of (N, H, W, 3)."""
        return frame.copy()

    def delay(self, number: int) -> None:
        """Do nothing."""

    def describe(self) -> Mapping[str, str | int]:
        return {}

    def close(self) -> None:
        """Do nothing."""


class Heard(Silent):
    """A Progress that remembers."""

    def __init__(self) -> None:
        self.total: int | None = None
        self.steps = 0
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def start(self, title: str, total: int | None) -> None:
        self.total = total

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.steps += steps
        self.notes.append(note)

    def warn(self, message: str) -> None:
        self.warnings.append(message)


def gray(level: int, size: tuple[int, int] = (48, 64)) -> Pixels:
    """One flat picture, (height, width, 3)."""
    return np.full((*size, 3), level, np.uint8)


def levels(count: int) -> list[int]:
    """Distinct gray levels, far enough apart to survive a codec; they repeat after 50."""
    return [20 + 4 * (index % 50) for index in range(count)]


def write_clip(
    path: Path,
    pictures: Sequence[Pixels],
    *,
    times: Sequence[int] | None = None,
    codec: str = "libx264",
    kind: str = "yuv420p",
    sound: str | None = None,
    setup: Callable[[av.VideoStream], None] = lambda stream: None,
) -> Path:
    """Write pictures, shown at ``times`` in ms (25 a second if not given), with or without noise."""
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as container:
        container.metadata["title"] = "a walk"
        stream = container.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        context = stream.codec_context
        context.height, context.width = pictures[0].shape[:2]
        context.pix_fmt = kind
        context.time_base = stream.time_base = MS
        setup(stream)
        added = [container.add_stream(sound, rate=48_000)] if sound else []
        tracks = [track for track in added if isinstance(track, av.AudioStream)]
        for pts, picture in zip(times or range(0, 40 * len(pictures), 40), pictures, strict=True):
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            frame.pts, frame.time_base = pts, MS
            container.mux(stream.encode(frame))
            for track in tracks:
                container.mux(track.encode(noise_frame(pts)))
        for track in tracks:
            container.mux(track.encode(None))
        container.mux(stream.encode(None))
    return path


def noise_frame(pts_ms: int) -> av.AudioFrame:
    """40 ms of noise in stereo."""
    samples = np.random.default_rng(pts_ms).normal(0, 0.1, (2, 1920)).astype(np.float32)
    frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = 48_000, pts_ms * 48, Fraction(1, 48_000)
    return frame


def run(source: Path, target: Path, engine: Any = None, **more: Any) -> VideoSummary:
    """Stylize with an engine, by a deadline: a deadlock is a failure, not a hang."""
    styling = Styling(engine or Plain())
    options = more.pop("options", VideoOptions())
    more.setdefault("progress", Silent())
    pool = ThreadPoolExecutor(1)
    try:
        job = pool.submit(
            lambda: stylize_video(source, target, lambda *_: styling, options=options, **more)
        )
        return job.result(timeout=DEADLINE_S)
    finally:
        pool.shutdown(wait=False)


@dataclass(frozen=True)
class Seen:
    """What a player gets of a file: pictures, their times in seconds, and the sound's packets."""

    pictures: list[Pixels]
    times: list[float]
    sound: list[tuple[float, bytes]]

    @property
    def levels(self) -> list[float]:
        return [float(picture.mean()) for picture in self.pictures]


def play(path: Path, *, kind: str = "rgb24") -> Seen:
    """Decode a file from begin to end, into RGB or another kind of pixels."""
    pictures, times, sound = [], [], []
    with opened(path) as clip:
        for packet in clip.container.demux():
            if packet.stream.type == "audio" and packet.dts is not None:
                assert packet.pts is not None
                sound.append((float(packet.pts * packet.time_base), bytes(packet)))
            elif packet.stream.index == clip.pictures.index:
                for frame in clip.decoder.decode(packet):
                    size = {"width": frame.width, "height": frame.height}
                    rgb = kind == "rgb24"
                    shown = to_rgb(frame, **size) if rgb else frame.to_ndarray(format=kind)
                    pictures.append(np.asarray(shown, np.uint8))
                    times.append(frame.time or 0.0)
    return Seen(pictures, times, sound)


def fifty_frames(folder: Path) -> Path:
    """Write two seconds of gray, each of the 50 frames of another level, with sound."""
    return write_clip(folder / "in.mp4", [gray(level) for level in levels(50)], sound="aac")


def leftovers(folder: Path) -> set[str]:
    """Names in a folder besides the inputs."""
    return {path.name for path in folder.iterdir() if not path.name.startswith(("in", "whole"))}

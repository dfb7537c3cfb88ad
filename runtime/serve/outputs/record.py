"""A recording: segments of fragmented MP4, each playable up to its last second whatever happens."""

from __future__ import annotations

from datetime import datetime, timezone
from fractions import Fraction
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from stylepress.picture import Pixels
from stylepress.runtime.media.lanes import padded
from stylepress.runtime.serve.config import StreamEntry

CLOCK = Fraction(1, 90_000)
FRAGMENT_S = 1
NOMINAL_FPS = 30


def add_h264(container: OutputContainer, pixels: Pixels, crf: int) -> VideoStream:
    """Add an H.264 stream for frames of this size that holds nothing back.

    ``pixels`` has even sides. A key frame comes every second.
    """
    stream = container.add_stream("libx264", rate=NOMINAL_FPS)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.height, context.width = pixels.shape[:2]
    context.pix_fmt = "yuv420p"
    context.time_base = stream.time_base = CLOCK
    context.thread_count = 1
    context.gop_size = NOMINAL_FPS * FRAGMENT_S
    context.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": str(crf)}
    return stream


class Encoding:
    """One container being written: sizes made even, times from the frames' own."""

    def __init__(
        self, container: OutputContainer, pixels: Pixels, crf: int, captured_ns: int
    ) -> None:
        """Take an opened container and its first frame."""
        self.container, self.size = container, pixels.shape[:2]
        self.begin_ns, self._last = captured_ns, -1
        self.stream = add_h264(container, padded(pixels, 2, multiple=2), crf)

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Encode (H, W, 3) uint8 RGB of the size it began with."""
        frame = VideoFrame.from_ndarray(padded(pixels, 2, multiple=2), format="rgb24")
        # Times only grow, also when a slate comes before a frame that was captured earlier.
        self._last = max(self._last + 1, round((captured_ns - self.begin_ns) * 90_000 / 1e9))
        frame.pts, frame.time_base = self._last, CLOCK
        self.container.mux(self.stream.encode(frame))

    def close(self) -> None:
        """Encode what is left and close the container."""
        try:
            self.container.mux(self.stream.encode(None))
        finally:
            self.container.close()


class Recorder:
    """Writes segments of a stream into a folder; the oldest go when they are too many bytes."""

    def __init__(self, stream: str, place: str, entry: StreamEntry) -> None:
        """Make the folder.

        Raises:
            OSError: it cannot be made or written to.
        """
        self.stream, self.folder = stream, Path(place)
        self.segment_s, self.keep_bytes = entry.segment_s, int(entry.keep_gb * (1 << 30))
        self.crf = entry.crf
        self.folder.mkdir(parents=True, exist_ok=True)
        self._encoding: Encoding | None = None

    def write(self, pixels: Pixels, captured_ns: int) -> None:
        """Write a frame, into a new segment when the last is long enough or of another size."""
        current = self._encoding
        if current is not None and (
            (captured_ns - current.begin_ns) / 1e9 >= self.segment_s
            or pixels.shape[:2] != current.size
        ):
            self._encoding = None
            current.close()
        if self._encoding is None:
            self._encoding = self._segment(pixels, captured_ns)
        self._encoding.write(pixels, captured_ns)

    def close(self) -> None:
        """Finish the segment."""
        current, self._encoding = self._encoding, None
        if current is not None:
            current.close()

    def _segment(self, pixels: Pixels, captured_ns: int) -> Encoding:
        self._forget_oldest()
        stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S")
        path = self.folder / f"{self.stream}-{stamp}Z.mp4"
        number = 1
        while path.exists() or path.is_symlink():
            number += 1
            path = self.folder / f"{self.stream}-{stamp}Z-{number}.mp4"
        flags = "frag_keyframe+empty_moov+default_base_moof"
        options = {"movflags": flags, "flush_packets": "1"}
        container = av.open(f"file:{path}", "w", format="mp4", options=options)
        return Encoding(container, pixels, self.crf, captured_ns)

    def _forget_oldest(self) -> None:
        """Delete segments of this stream, the oldest first, until ``keep_gb`` hold the rest."""
        segments = sorted(
            (path for path in self.folder.glob(f"{self.stream}-*Z*.mp4") if path.is_file()),
            key=lambda path: path.stat().st_mtime,
        )
        total = sum(path.stat().st_size for path in segments)
        for path in segments:
            if total <= self.keep_bytes:
                return
            total -= path.stat().st_size
            path.unlink(missing_ok=True)

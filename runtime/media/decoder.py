"""A video file as it is read: upright frames in RGB, their times, and the sound beside them."""

from __future__ import annotations

import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet
from av.stream import Disposition, Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stylepress.errors import FrameError
from stylepress.runtime.machine import usable_cores
from stylepress.runtime.media.images import LIMIT_PIXELS, check_file, check_size
from stylepress.runtime.media.lanes import Stages

Pixels = NDArray[np.uint8]
Sound: TypeAlias = "Packet[Stream]"

# Self-contained files only: a playlist names other files and hosts, and FFmpeg reads any text as
# a film of a terminal.
CONTAINERS = ",".join(
    (
        *("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "mpegts", "mpeg", "flv", "asf", "ogg"),
        *("gif", "apng", "webp_anim", "h264", "hevc", "m4v", "mjpeg", "ivf", "obu", "yuv4mpegpipe"),
        *("mxf", "dv", "nut", "mpegvideo", "wtv", "rm"),
    )
)
# Tags that are no UTF-8: PyAV 19 keeps them as they are, before they were an error.
TAGS: dict[str, Any] = (
    {} if int(av.__version__.split(".")[0]) >= 19 else {"metadata_errors": "replace"}
)
# libswscale's flags, as numbers because PyAV 17 does not name them all: POINT or BICUBIC, with
# FULL_CHR_H_INT and ACCURATE_RND. Without the last two it darkens 8-bit video by one level; a
# repeated chroma sample is the exact inverse of the mean that the encoder takes.
TO_RGB = 0x10 | 0x2000 | 0x40000
TO_RGB_RESIZED = 0x4 | 0x2000 | 0x40000
# ITU-T H.273 matrix numbers to libswscale's: BT.709, FCC, BT.601 (twice), SMPTE 240M, BT.2020.
MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
BT709, BT601 = 1, 5
HD_HEIGHT = 720
HDR_CURVES = {16: "PQ", 18: "HLG"}
DECLARED = ("mov", "matroska", "avi")  # their header says how long they are
EARLY_S = RESTART_S = 0.5
Turn = tuple[int, ...]
"""The signs of a display matrix: where (x, y) goes is (a x + c y, b x + d y)."""
STRAIGHT, LEFT, OVER, RIGHT = (1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0)
ODD: Turn = ()
ANGLES: dict[int, Turn] = {0: STRAIGHT, 90: LEFT, 180: OVER, 270: RIGHT}  # counter-clockwise
# The filters of libavfilter that turn a frame upright.
TURNS: dict[Turn, tuple[tuple[str, str | None], ...]] = {
    STRAIGHT: (),
    LEFT: (("transpose", "cclock"),),
    OVER: (("hflip", None), ("vflip", None)),
    RIGHT: (("transpose", "clock"),),
    (-1, 0, 0, 1): (("hflip", None),),
    (1, 0, 0, -1): (("vflip", None),),
    (0, 1, 1, 0): (("transpose", "cclock_flip"),),
    (0, -1, -1, 0): (("transpose", "clock_flip"),),
}


@dataclass(frozen=True, slots=True)
class Clip:
    """An opened video: its picture stream, and the sound and subtitles that go with it."""

    path: Path
    container: InputContainer
    pictures: VideoStream
    tracks: tuple[Stream, ...]

    @property
    def rate(self) -> Fraction:
        """Frames per second, on average."""
        return self.pictures.average_rate or self.pictures.guessed_rate or Fraction(25)

    @property
    def seconds(self) -> float | None:
        """The time of its end, as the header says; None when it does not say."""
        if self.container.duration is None:
            return None
        # Matroska counts from 0, the others from the first frame.
        from_zero = "matroska" in self.container.format.name
        start = 0 if from_zero else self.container.start_time or 0
        return (start + self.container.duration) / av.time_base

    @property
    def frames(self) -> int | None:
        """How many frames to expect; None when nobody knows."""
        if self.pictures.frames:
            return self.pictures.frames
        return None if self.seconds is None else max(1, round(self.seconds * self.rate))


@dataclass(frozen=True, slots=True)
class Shot:
    """One upright frame and when it is shown, in units of the clip's time base."""

    frame: VideoFrame
    pts: int
    duration: int


@contextmanager
def opened(path: Path, *, limit_pixels: int = LIMIT_PIXELS) -> Iterator[Clip]:
    """Open a video by its content, whatever its name; only its header is read.

    Raises:
        FrameError: missing, empty, no video, no picture stream that can be decoded, or more than
            ``limit_pixels`` in a frame.
    """
    check_file(path)
    try:
        container = av.open(
            f"file:{path}",
            container_options={"format_whitelist": CONTAINERS, "protocol_whitelist": "file"},
            **TAGS,
        )
    except (FFmpegError, ValueError) as error:
        raise FrameError(
            f"{path} is neither a picture nor a video known here "
            f"({getattr(error, 'strerror', error)}). "
            f"Use a file that plays elsewhere; a video that was cut off may lack its index."
        ) from error
    with container:
        pictures = _picture_stream(path, container)
        check_size(path, pictures.width, pictures.height, limit_pixels)
        pictures.thread_type = "AUTO"
        pictures.codec_context.thread_count = usable_cores()
        others = (*container.streams.audio, *container.streams.subtitles)
        yield Clip(path, container, pictures, tuple(s for s in others if s.codec_context))


def _picture_stream(path: Path, container: InputContainer) -> VideoStream:
    covers = Disposition.attached_pic
    streams = [s for s in container.streams.video if not Disposition(s.disposition) & covers]
    if not streams:
        seen = sorted({s.type for s in container.streams if s.type != "video"})
        raise FrameError(
            f"{path} holds no video stream, only {' and '.join(seen) or 'a still picture'}. "
            f"Name a file with moving pictures in it."
        )
    if streams[0].codec_context is None:
        raise FrameError(
            f"{path} is coded in a way that this FFmpeg does not decode. Convert it to H.264 first."
        )
    return streams[0]


class Reader:
    """Read a clip once: its frames, upright and in time, and between them its other packets.

    What is damaged is passed over and counted; when the file ends early, what came until then
    counts as all. ``complete`` tells whether the end was reached, and not stopped before.
    """

    def __init__(self, clip: Clip, *, stop: threading.Event, stages: Stages) -> None:
        """Take an opened clip; ``stop`` ends the reading before the next packet."""
        self.clip, self.stop, self.stages = clip, stop, stages
        self.complete = False
        self.frames = self.damaged = self.back_in_time = self.restarts = 0
        self.end_s = 0.0
        self.trouble = ""
        self.curve: int | None = None
        self._step = max(1, round(1 / (clip.rate * (clip.pictures.time_base or 1))))
        self._last: int | None = None
        self._shift = Fraction(0)
        self._clocks: dict[int, Fraction] = {}
        self.upright = Upright()

    def __iter__(self) -> Generator[Shot | Sound, None, None]:
        """Yield shots and packets in the order of the file; a shot lasts until the next begins."""
        held: Shot | None = None
        for item in self._items():
            if isinstance(item, Packet):
                yield item
                continue
            shot = self._timed(item)
            if held is not None:
                yield Shot(held.frame, held.pts, shot.pts - held.pts)
            held = shot
        if held is not None:
            yield held

    def _items(self) -> Iterator[VideoFrame | Sound]:
        clip = self.clip
        packets = clip.container.demux(clip.pictures, *clip.tracks)
        while not self.stop.is_set():
            try:
                packet = next(packets, None)
            except (FFmpegError, IndexError) as error:
                self.trouble = str(getattr(error, "strerror", error))
                yield from self._decoded(None)
                packet = None
            if packet is None:
                self.complete = True
                return
            self._settle(packet)
            if packet.stream.index == clip.pictures.index:
                yield from self._decoded(packet)
            elif packet.dts is not None:
                yield packet

    def _settle(self, packet: Sound) -> None:
        """Let a clock that begins anew, as in recordings put end to end, run on instead."""
        index, base = packet.stream.index, packet.time_base
        if base is None:
            return
        if packet.dts is not None:
            now = packet.dts * base + self._shift
            last = self._clocks.get(index, now)
            if now < last - RESTART_S:
                self.restarts += 1
                self._shift += last - now + (packet.duration or 0) * base
                now = packet.dts * base + self._shift
            self._clocks[index] = now
            packet.dts += round(self._shift / base)
        if packet.pts is not None:
            packet.pts += round(self._shift / base)
        shown = packet.dts if packet.pts is None else packet.pts
        if shown is not None:
            self.end_s = max(self.end_s, float((shown + (packet.duration or 0)) * base))

    def _decoded(self, packet: Sound | None) -> Iterator[VideoFrame]:
        with self.stages.inside("decode"):
            try:
                frames = self.clip.pictures.decode(packet)
            except FFmpegError:
                self.damaged += 1
                return
        for frame in frames:
            self.damaged += frame.is_corrupt
            self.curve = self.curve or frame.color_trc
            yield self.upright(frame)

    def _timed(self, frame: VideoFrame) -> Shot:
        self.frames += 1
        pts = frame.pts
        if self._last is not None and (pts is None or pts <= self._last):
            self.back_in_time += pts is not None
            pts = self._last + self._step
        self._last = pts or 0
        return Shot(frame, self._last, frame.duration or self._step)

    def findings(self) -> list[str]:
        """Tell in one sentence each what was wrong with the clip, after it was read."""
        found = []
        said = self.clip.seconds
        declared = self.clip.container.format.name.startswith(DECLARED)
        if self.complete and self.trouble:
            found.append(f"reading ended with an error ({self.trouble})")
        if self.complete and said is not None and declared and self.end_s < said - EARLY_S:
            found.append(
                f"the file ends early, it is cut off: {self.frames} frames ({self.end_s:.1f} s "
                f"of {said:.1f} s) were there and are kept"
            )
        if self.damaged:
            found.append(f"{self.damaged} damaged packets or frames were passed over or patched")
        if self.restarts:
            found.append(f"its clock began anew {self.restarts} times; the parts follow each other")
        if self.back_in_time:
            found.append(
                f"{self.back_in_time} frames had times that run backwards; "
                f"they follow each other at the usual rate instead"
            )
        if self.upright.odd_angle:
            found.append("its rotation is no quarter turn and was left out")
        if self.curve in HDR_CURVES:
            found.append(
                f"it is HDR ({HDR_CURVES[self.curve]}); brightness is not mapped, so it looks flat"
            )
        return found


class Upright:
    """Turn frames the way their display matrix says, in libavfilter, before they become RGB."""

    def __init__(self) -> None:
        """Begin with no filter; one is built for each new size and kind of frame."""
        self.odd_angle = self.sideways = False
        self._turns: dict[int, Turn] = {}
        self._graphs: dict[tuple[int, int, str, Turn], Graph] = {}

    def __call__(self, frame: VideoFrame) -> VideoFrame:
        """Return the frame upright; the same one when nothing is to be turned."""
        turn = self.turn(frame)
        self.sideways = turn[:1] == (0,)
        filters = TURNS.get(turn)
        if filters is None:
            self.odd_angle = True
        if not filters:
            return frame
        key = (frame.width, frame.height, frame.format.name, turn)
        if key not in self._graphs:
            self._graphs = {key: _graph(frame, filters)}
        self._graphs[key].push(frame)
        turned = self._graphs[key].pull()
        assert isinstance(turned, VideoFrame)
        turned.colorspace, turned.color_range = frame.colorspace, frame.color_range
        turned.pts, turned.time_base, turned.duration = frame.pts, frame.time_base, frame.duration
        return turned

    def turn(self, frame: VideoFrame) -> Turn:
        """Look up the display matrix; a mirror shows in it, but not in the angle.

        Only the first frame of each angle is asked for it: PyAV ties a frame whose side data was
        read into a cycle, so all of them would stay in memory until the garbage collector runs.
        """
        angle = frame.rotation
        if angle not in self._turns:
            self._turns[angle] = _matrix(frame)
        return self._turns[angle]


def _matrix(frame: VideoFrame) -> Turn:
    try:
        matrix = bytes(frame.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
    except KeyError:
        return STRAIGHT
    except ValueError:  # PyAV stumbles over kinds of side data that it does not know
        return ANGLES.get(frame.rotation % 360, ODD)
    values = np.frombuffer(matrix, np.int32)[[0, 1, 3, 4]]
    # 16.16 fixed point; a scale is not for us, so only the direction counts.
    return tuple(np.rint(values / max(1, np.abs(values).max())).astype(int).tolist())


def _graph(frame: VideoFrame, filters: tuple[tuple[str, str | None], ...]) -> Graph:
    graph = Graph()
    last = graph.add_buffer(
        width=frame.width,
        height=frame.height,
        format=frame.format,
        time_base=frame.time_base or Fraction(1, 1000),
    )
    for name, arguments in (*filters, ("buffersink", None)):
        added = graph.add(name, arguments)
        last.link_to(added)
        last = added
    graph.configure()
    return graph


class _Converters(threading.local):
    """One libswscale context for each thread: they are not safe to share."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


_converters = _Converters()


def to_rgb(frame: VideoFrame, *, width: int, height: int) -> Pixels:
    """Convert a frame of any format to (height, width, 3) uint8 RGB; safe from many threads.

    Matrix and range are the frame's own. Where it names none: BT.709 from 720 lines, else BT.601;
    16..235 for YUV, unless its format says full range.
    """
    usual = BT709 if frame.height >= HD_HEIGHT else BT601
    full = frame.format.is_rgb or frame.format.name.startswith(
        ("yuvj", "gray", "ya", "pal", "mono")
    )
    same = (frame.width, frame.height) == (width, height)
    made = _converters.reformatter.reformat(
        frame,
        width=width,
        height=height,
        format="rgb24",
        src_colorspace=MATRICES.get(frame.colorspace, usual),
        src_color_range=frame.color_range or (ColorRange.JPEG if full else ColorRange.MPEG),
        dst_color_range=ColorRange.JPEG,
        interpolation=TO_RGB if same else TO_RGB_RESIZED,
        threads=1,
    )
    return np.asarray(made.to_ndarray(), dtype=np.uint8)

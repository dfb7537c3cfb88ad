"""The file that a stylized video is written into: one encoded picture stream, sound as it came."""

from __future__ import annotations

import io
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.error import FFmpegError
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, VideoReformatter
from av.video.stream import VideoStream
from numpy.typing import NDArray

from stylepress.errors import OutputError, RecipeError
from stylepress.runtime.media.lanes import padded

Pixels = NDArray[np.uint8]
Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]
Carried = Literal["copied", "encoded", "dropped"]

PIXELS = "yuv420p"
BT709 = 1  # the same number for matrix, transfer curve and primaries, and in libswscale
FRAME_DURATION = 1 << 8  # AV_CODEC_FLAG_FRAME_DURATION: packets last as long as their frames
# libswscale's AREA, FULL_CHR_H_INP and ACCURATE_RND: the mean of the pixels that share a sample.
TO_YUV = 0x20 | 0x4000 | 0x40000
SOUND_BITS = 192_000


@dataclass(frozen=True, slots=True)
class Format:
    """How a container is written: FFmpeg's muxer, the encoders it takes, and its options.

    ``refuses`` begins the names of codecs that it takes by the letter, but players do not.
    """

    muxer: str
    picture: str
    sound: str
    options: Mapping[str, str] = field(default_factory=dict)
    refuses: str | None = None


# faststart: the index goes to the front, so that a browser plays before it has loaded everything.
FRONT = MappingProxyType({"movflags": "+faststart"})
FORMATS: Mapping[str, Format] = {
    ".mp4": Format("mp4", "libx264", "aac", FRONT, refuses="pcm_"),
    ".m4v": Format("mp4", "libx264", "aac", FRONT, refuses="pcm_"),
    ".mov": Format("mov", "libx264", "aac", FRONT),
    ".mkv": Format("matroska", "libx264", "aac"),
    ".webm": Format("webm", "libvpx-vp9", "libopus"),
}
SUMS_DECODING_TIMES = frozenset(("mp4", "mov"))
# Of the file the video came from; the muxer writes its own.
MUXER_TAGS = frozenset(
    ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate")
)


@dataclass(frozen=True, slots=True)
class Quality:
    """What the encoder aims at.

    ``crf`` 1..51 is the quality (lower is better and larger), ``preset`` x264's trade of time
    for size. Measured on stylized 1280x720, per frame of one core: superfast 11.5 ms 39 KiB,
    veryfast 23.5 ms 29 KiB, ultrafast 6.1 ms 84 KiB, all at crf 20 and 38.4..39.3 dB.
    """

    crf: int = 20
    preset: Preset = "superfast"

    def __post_init__(self) -> None:
        if not 1 <= self.crf <= 51:
            raise RecipeError(f"The crf is {self.crf}, outside 1..51. Try 18 (fine) to 28 (small).")
        if self.preset not in Preset.__args__:  # type: ignore[attr-defined]
            known = ", ".join(Preset.__args__)  # type: ignore[attr-defined]
            raise RecipeError(f"There is no preset {self.preset!r}. Choose one of {known}.")

    def options(self, encoder: str) -> dict[str, str]:
        """Return the options of libx264, or the nearest that libvpx has."""
        if encoder == "libx264":
            return {"crf": str(self.crf), "preset": self.preset}
        return {
            "crf": str(min(63, self.crf + 11)),
            "deadline": "realtime",
            "cpu-used": "7",
            "row-mt": "1",
        }


@dataclass(frozen=True, slots=True)
class Look:
    """Size in pixels, clock and pixel shape of the pictures of a video."""

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    aspect: Fraction | None = None


class Film:
    """One video file being written; not safe for two threads at once, ``to_yuv`` is."""

    def __init__(self, container: OutputContainer, look: Look, *, form: Format) -> None:
        """Take an opened, empty container."""
        self.look = look
        self.width, self.height = (side + side % 2 for side in (look.width, look.height))
        self.carried: dict[int, Carried] = {}
        self._form = form
        self._container = container
        self._tracks: dict[int, Stream] = {}
        self._converters = _Converters()
        self._reached: dict[int, int] = {}
        self._begin: int | None = None
        self._first_dts: int | None = None
        self._end = 0

    def add_pictures(self, quality: Quality, *, threads: int, tags: Mapping[str, str]) -> None:
        """Declare the picture stream; sides are made even by repeating the last row or column."""
        look, encoder = self.look, self._form.picture
        stream = self._container.add_stream(encoder, rate=look.rate)
        assert isinstance(stream, VideoStream)
        context = stream.codec_context
        context.width, context.height = self.width, self.height
        context.pix_fmt = PIXELS
        context.time_base = stream.time_base = look.time_base
        context.sample_aspect_ratio = look.aspect or Fraction(1, 1)
        context.colorspace = context.color_primaries = context.color_trc = BT709
        context.color_range = ColorRange.MPEG
        context.thread_count = threads
        context.flags |= FRAME_DURATION
        context.options = quality.options(encoder)
        stream.metadata.update(_own_tags(tags))
        self._pictures = stream
        self.threads = threads

    def add_track(self, track: Stream) -> Carried:
        """Declare a sound or subtitle stream: copied if the container takes it, else encoded."""
        carried = carriage(track, self._form)
        if carried == "copied":
            self._tracks[track.index] = self._container.add_stream_from_template(track)
        elif carried == "encoded":
            self._tracks[track.index] = _encoder(self._container, track, self._form.sound)
        if carried != "dropped":
            self._tracks[track.index].metadata.update(_own_tags(track.metadata))
        self.carried[track.index] = carried
        return carried

    def to_yuv(self, pixels: Pixels) -> VideoFrame:
        """Turn (H, W, 3) uint8 sRGB into a frame for the encoder: 4:2:0, BT.709, 16..235."""
        even = np.ascontiguousarray(padded(pixels, 1, multiple=2))
        frame = self._converters.reformatter.reformat(
            VideoFrame.from_numpy_buffer(even, format="rgb24"),
            format=PIXELS,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            dst_colorspace=BT709,
            interpolation=TO_YUV,
            threads=1,
        )
        frame.colorspace = frame.color_primaries = frame.color_trc = BT709
        return frame

    def write(self, frame: VideoFrame, *, pts: int, duration: int) -> None:
        """Encode a frame of ``to_yuv``; times in units of ``look.time_base``."""
        frame.time_base, frame.pts, frame.duration = self.look.time_base, pts, duration
        self._begin = pts if self._begin is None else self._begin
        self._end = pts + duration
        self._mux(self._pictures.encode(frame))

    def _mux(self, packets: Sequence[Packet[VideoStream]]) -> None:
        if packets and self._first_dts is None:
            self._first_dts = packets[0].dts
        self._container.mux(packets)

    def carry(self, packet: Packet[Stream]) -> None:
        """Put in a packet of a declared track, with its times."""
        index = packet.stream.index
        track = self._tracks.get(index)
        if track is None:
            return
        if self.carried[index] == "copied":
            self._forward(packet, track)
            packet.stream = track
            self._container.mux(packet)
        elif isinstance(track, AudioStream):
            with suppress(FFmpegError):  # a damaged packet of sound is a gap in it
                for frame in packet.decode():
                    self._container.mux(track.encode(frame))  # type: ignore[arg-type]

    def _forward(self, packet: Packet[Stream], track: Stream) -> None:
        # Muxers refuse a track whose time does not run forward, in ticks of their own.
        if packet.dts is None or not packet.time_base or not track.time_base:
            return
        tick = math.ceil(track.time_base / packet.time_base)
        late = self._reached.get(track.index, packet.dts - tick) + tick - packet.dts
        if late > 0:
            packet.dts += late
            packet.pts = None if packet.pts is None else max(packet.pts, packet.dts)
        self._reached[track.index] = packet.dts

    def finish(self) -> None:
        """Encode what is still under way."""
        for index, track in self._tracks.items():
            if self.carried[index] == "encoded" and isinstance(track, AudioStream):
                self._container.mux(track.encode(None))
        last = self._pictures.encode(None)
        if last and self._form.muxer in SUMS_DECODING_TIMES:
            self._stretch(last[-1])
        self._mux(last)

    def _stretch(self, packet: Packet[VideoStream]) -> None:
        # These containers are as long as their decoding times, which B-frames put ahead.
        if packet.dts is None or self._first_dts is None or self._begin is None:
            return
        packet.duration = max(1, self._end - self._begin - (packet.dts - self._first_dts))


class _Converters(threading.local):
    """One libswscale context for each thread: they are not safe to share."""

    def __init__(self) -> None:
        self.reformatter = VideoReformatter()


@contextmanager
def filming(path: Path, look: Look, *, tags: Mapping[str, str], target: Path) -> Iterator[Film]:
    """Open a video file for writing and close it with its index, also when the block fails.

    ``target`` is the name that it will have; its suffix names the format.

    Raises:
        OutputError: the suffix is none of FORMATS, or FFmpeg cannot write there.
    """
    form = FORMATS[video_suffix(target)]
    with (
        translated(target),
        av.open(f"file:{path}", "w", format=form.muxer, options=dict(form.options)) as container,
    ):
        container.metadata.update(_own_tags(tags))
        yield Film(container, look, form=form)


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn FFmpeg's refusals to encode or write into an OutputError; a full disk stays OSError."""
    try:
        yield
    except FFmpegError as error:
        if isinstance(error, OSError) and error.errno:
            raise
        raise OutputError(
            f"{path} cannot be encoded ({error.strerror}). "
            f"Try another suffix, e.g. {path.with_suffix('.mkv').name}."
        ) from error


def video_suffix(path: Path) -> str:
    """Return the suffix of ``path`` in lower case.

    Raises:
        OutputError: it names no container that videos are written in.
    """
    suffix = path.suffix.lower()
    if suffix not in FORMATS:
        raise OutputError(
            f"{path} does not end in the name of a video format written here. "
            f"End it in one of {', '.join(FORMATS)}."
        )
    return suffix


def carriage(track: Stream, form: Format) -> Carried:
    """Find out what a container does with a track, by asking its muxer for a header in memory."""
    name = track.codec_context.name
    refused = form.refuses is not None and name.startswith(form.refuses)
    kinds: Sequence[Carried] = ("encoded",) if refused else ("copied", "encoded")
    for kind in kinds:
        try:
            with av.open(io.BytesIO(), "w", format=form.muxer) as trial:
                if kind == "copied":
                    trial.add_stream_from_template(track)
                else:
                    _encoder(trial, track, form.sound)
                trial.start_encoding()
        except (FFmpegError, ValueError, TypeError):
            continue
        return kind
    return "dropped"


def _encoder(container: OutputContainer, track: Stream, encoder: str) -> AudioStream:
    if not isinstance(track, AudioStream):
        raise TypeError(f"a {track.type} stream is not encoded")
    rate = 48_000 if encoder == "libopus" else track.codec_context.sample_rate
    layout = track.codec_context.layout.name
    if layout.endswith(
        "channels"
    ):  # of old files: a number of channels, and no word where they are
        layout = "mono" if track.codec_context.layout.nb_channels == 1 else "stereo"
    made = container.add_stream(encoder, rate=rate, layout=layout)
    assert isinstance(made, AudioStream)
    made.codec_context.bit_rate = SOUND_BITS
    return made


def _own_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.lower() not in MUXER_TAGS}
